"""Commands as forked processes, many at once, each of which is killed after some time or some words."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pintally.tools.python import PINTALLY
from tests.support.forkserver import Forked, fork_server

AT_ONCE = 12  # most of them wait
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int | None  # None: it was killed
    seconds: float
    out: str
    err: str


class Commands:
    """Runs commands at once, some at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._pool = ThreadPoolExecutor(AT_ONCE)

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], seconds: float, until: str = ""
    ) -> "Future[Done]":
        """Run `pintally` with these arguments; killed after `seconds`, or when it has said `until`."""
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return self._pool.submit(self._run, folder, arguments, environment, seconds, until)

    def _run(
        self, folder: Path, arguments: Sequence[str], environment: Mapping[str, str], seconds: float, until: str
    ) -> Done:
        began = time.monotonic()
        err, out = folder / "err", folder / "out"
        process = fork_server().start([*PINTALLY, *arguments], environment=environment, log=err, out=out, folder=folder)
        while process.poll() is None:
            if time.monotonic() - began > seconds or (until and until in process.text()):
                return self._killed(process, began)
            time.sleep(POLL_SECONDS)
        return Done(process.poll(), time.monotonic() - began, out.read_text(errors="replace"), process.text())

    def _killed(self, process: Forked, began: float) -> Done:
        process.kill()
        process.wait()
        return Done(None, time.monotonic() - began, process.out.read_text(errors="replace"), process.text())

    def close(self) -> None:
        """Forget those that have not begun."""
        self._pool.shutdown(cancel_futures=True)
