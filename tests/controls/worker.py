"""A worker for scenarios: `python -m tests.controls.worker` counts as `pintally worker` does, with one thing wrong.

`--without NAME` switches a protection off, `--inject NAME` puts a fault where no engine and no network
can be made to have it surely. The worker that users run knows neither.
"""

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from pintally.streams.counting.log import Chunk
from pintally.streams.kafka.fetching.consumer import ChunkedConsumer
from pintally.streams.settings import load_settings
from pintally.streams.worker import process
from pintally.streams.worker.counters import counters
from pintally.streams.worker.run import count
from pintally.tools.python import module
from tests.controls import CONTROLS
from tests.controls.switch import replaced

NAME = "tests.controls.worker"
CHANGED = 2  # which chunk of each source


def _second_chunk(change: Callable[[Chunk], Chunk | None]) -> AbstractContextManager[None]:
    """Of each source the second chunk that is fetched arrives as `change` gives it."""
    arrived: Counter[Any] = Counter()

    async def changed(*args: Any) -> dict[Any, Chunk]:
        chunks = await fetched(*args)
        arrived.update(chunks.keys())
        second = {tp: change(chunk) for tp, chunk in chunks.items() if arrived[tp] == CHANGED}
        return {tp: kept for tp, chunk in chunks.items() if (kept := second.get(tp, chunk)) is not None}

    fetched = ChunkedConsumer.chunks
    return replaced((ChunkedConsumer, "chunks", changed))


def lost_chunk() -> AbstractContextManager[None]:
    """The second chunk of each source is fetched, and never arrives."""
    return _second_chunk(lambda _: None)


def lost_start() -> AbstractContextManager[None]:
    """The second chunk of each source is fetched, and its first half never arrives."""

    def second_half(chunk: Chunk) -> Chunk:
        half = len(chunk) // 2
        columns = {name: getattr(chunk, name)[half:] for name in ("offsets", "timestamps", "values")}
        return replace(chunk, start=int(chunk.offsets[half]), **columns)

    return _second_chunk(second_half)


INJECTIONS: dict[str, Callable[[], AbstractContextManager[None]]] = {"lost-chunk": lost_chunk, "lost-start": lost_start}


def main(arguments: Sequence[str]) -> None:
    """Count until stopped. Takes what `pintally worker` takes, and what is to be wrong."""
    parser = ArgumentParser(prog="python -m tests.controls.worker", description=__doc__)
    parser.add_argument("--without", choices=sorted(CONTROLS))
    parser.add_argument("--inject", choices=sorted(INJECTIONS))
    parser.add_argument("--counters", type=Path)
    parser.add_argument("--instance")
    chosen = parser.parse_args(arguments)
    settings = load_settings()
    if chosen.instance:
        settings = settings.changed(kafka_group_instance_id=chosen.instance)
    if chosen.counters:
        counters.keep_in(chosen.counters)
    process.command = (*module(NAME), *arguments)
    with ExitStack() as wrong:
        if chosen.without:
            wrong.enter_context(CONTROLS[chosen.without]())
        if chosen.inject:
            wrong.enter_context(INJECTIONS[chosen.inject]())
        count(settings, "INFO")


if __name__ == "__main__":
    main(sys.argv[1:])
