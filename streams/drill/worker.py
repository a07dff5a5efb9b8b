"""A worker for drills alone: `python -m streams.drill.worker` counts as `pintally worker` does, with one thing wrong.

`--without NAME` switches a protection off (see `streams.drill.controls`), `--inject NAME` puts a fault where no engine
and no network can be made to have it surely. The worker that users run knows neither.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from streams import fetch, restart, transport
from streams.cli.worker import count
from streams.drill.controls import CONTROLS
from streams.drill.controls.switch import replaced
from streams.settings import load_settings

LOST_CHUNK = 2


@contextmanager
def lost_chunk() -> Iterator[None]:
    """The second chunk of each source is fetched, and never arrives."""
    arrived: dict[Any, int] = {}

    async def without_second(*args: Any) -> dict[Any, list[Any]]:
        chunks = await fetch.fetched_chunks(*args)
        for tp in chunks:
            arrived[tp] = arrived.get(tp, 0) + 1
        return {tp: found for tp, found in chunks.items() if arrived[tp] != LOST_CHUNK}

    with replaced((transport, "fetched_chunks", without_second)):
        yield


INJECTIONS: dict[str, Callable[[], AbstractContextManager[None]]] = {"lost-chunk": lost_chunk}


def main(arguments: Sequence[str]) -> None:
    """Count until stopped. Takes what `pintally worker` takes, and what is to be wrong."""
    parser = ArgumentParser(prog="python -m streams.drill.worker", description=__doc__)
    parser.add_argument("--without", choices=sorted(CONTROLS))
    parser.add_argument("--inject", choices=sorted(INJECTIONS))
    parser.add_argument("--instance")
    chosen = parser.parse_args(arguments)
    settings = load_settings()
    if chosen.instance:
        settings = settings.model_copy(update={"instance": chosen.instance})
    restart.command = (sys.executable, "-m", "streams.drill.worker", *arguments)
    with ExitStack() as wrong:
        if chosen.without:
            wrong.enter_context(CONTROLS[chosen.without]())
        if chosen.inject:
            wrong.enter_context(INJECTIONS[chosen.inject]())
        count(settings, "INFO")


if __name__ == "__main__":
    main(sys.argv[1:])
