"""Workers forked from a process that has imported all they need: they start in a fraction of the time.

`python -m tests.e2e.forked` is that process. It takes one JSON document a line, and says when a worker has ended.
"""

import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.running import wait_for

POLL_SECONDS = 0.01


@dataclass(slots=True)
class Forked:
    """A worker; `code` is what it ended with, minus the signal if one killed it."""

    pid: int
    log: Path
    code: int | None = None
    ended_at: float = 0.0  # time.time()

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        if self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, seconds: float, what: str) -> int:
        wait_for(lambda: self.code is not None, seconds, what)
        assert self.code is not None
        return self.code


@dataclass(slots=True)
class Forks:
    """The process that forks, from without."""

    process: "subprocess.Popen[str]"
    folder: Path
    workers: dict[int, Forked] = field(default_factory=dict)
    _made: list[Forked] = field(default_factory=list)

    def start(self, environment: Mapping[str, str], log: Path | None = None, **asked: Any) -> Forked:
        """A worker in this environment; `asked` is what `_child` looks for. Its words are appended to `log`."""
        log, count = log or self.folder / f"forked-{len(self._made)}.log", len(self._made)
        log.touch()
        asked |= {"log": str(log), "environment": dict(environment)}
        assert self.process.stdin
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        wait_for(lambda: len(self._made) > count, 30, "a fork")
        return self._made[-1]

    def listen(self) -> None:
        """Take what it says until it ends."""
        assert self.process.stdout
        for line in self.process.stdout:
            told = json.loads(line)
            if "log" in told:
                worker = self.workers[told["pid"]] = Forked(told["pid"], Path(told["log"]))
                self._made.append(worker)
            else:
                worker = self.workers[told["pid"]]
                worker.ended_at, worker.code = told["at"], told["code"]


@contextmanager
def forks(folder: Path) -> Iterator[Forks]:
    """The process; its workers are killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.forked"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    made = Forks(process, folder)
    listening = threading.Thread(target=made.listen, daemon=True)
    listening.start()
    try:
        yield made
    except BaseException as error:
        for worker in list(made.workers.values())[-2:]:
            error.add_note(f"{worker.log.name} (ended with {worker.code}):\n{worker.text()[-4000:]}")
        raise
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(60)
        listening.join(60)
        assert process.stdout
        process.stdout.close()


def main() -> None:
    """Fork what is asked for; say who has ended; kill all that is left when nobody asks any more."""
    from pintally.streams.worker import app, run  # noqa: F401 - what takes long
    from pintally.streams.worker.process import SIGNALS
    from tests.controls import worker  # noqa: F401

    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # a worker takes what comes before it has begun
    running: set[int] = set()
    while True:
        if select.select([0], [], [], POLL_SECONDS)[0]:
            line = sys.stdin.readline()
            if not line:
                break
            asked = json.loads(line)
            pid = os.fork()
            if not pid:
                _child(asked)
            running.add(pid)
            print(json.dumps({"pid": pid, "log": asked["log"]}), flush=True)
        _reap(running)
    for pid in running:
        os.kill(pid, 9)
    while running:
        _reap(running)


def _reap(running: set[int]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            running.discard(ended[0])
            code = os.waitstatus_to_exitcode(ended[1])
            print(json.dumps({"pid": ended[0], "code": code, "at": time.time()}), flush=True)


def _child(asked: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(asked["environment"])
    log = os.open(asked["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(here, there)
    from pintally.streams.settings import load_settings
    from pintally.streams.worker.run import count
    from tests.e2e.faults import install

    try:
        if command := asked.get("command"):
            sys.argv = command[command.index("-m") + 1 :]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
            os._exit(0)
        if asked.get("fault"):
            install(asked["fault"], Path(asked["trigger"]))
        count(load_settings(), "INFO")
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    except BaseException as error:  # noqa: BLE001 - the fork must not go on as its parent
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(getattr(error, "exit_code", getattr(error, "code", 1)))
    os._exit(0)


if __name__ == "__main__":
    main()
