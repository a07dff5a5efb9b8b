"""Commands as processes at a fraction of their cost: a server loads all modules once, and forks one process a command.

`python -m tests.security.forked` reads a JSON object a line: id, arguments, environment, folder, seconds, until (words
after which it is killed; none if empty). It answers with a line of id, exit code (null if it was killed) and seconds;
what a command says is in the folder.
"""

import ctypes
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AT_ONCE = 12  # most of them wait
PR_SET_PDEATHSIG = 1  # of linux/prctl.h


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    code: int | None  # None: it was killed
    seconds: float
    out: str
    err: str


class Forked:
    """Runs commands at once, some at a time."""

    def __init__(self, server: "subprocess.Popen[str]", folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._waiting: dict[int, Future[Done]] = {}
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], seconds: float, until: str = ""
    ) -> "Future[Done]":
        """Run `pintally` with these arguments; killed after `seconds`, or when it has said `until`."""
        with self._lock:
            number, future = len(self._waiting), Future[Done]()
            self._waiting[number] = future
            folder = self._folder / str(number)
            folder.mkdir()
            asked = {"id": number, "arguments": list(arguments), "environment": dict(environment), "seconds": seconds}
            assert self._server.stdin
            self._server.stdin.write(json.dumps(asked | {"folder": str(folder), "until": until}) + "\n")
            self._server.stdin.flush()
        return future

    def _read(self) -> None:
        assert self._server.stdout
        for line in self._server.stdout:
            ended = json.loads(line)
            folder = self._folder / str(ended["id"])
            out, err = ((folder / name).read_text(errors="replace") for name in ("out", "err"))
            self._waiting[ended["id"]].set_result(Done(ended["code"], ended["seconds"], out, err))


@contextmanager
def forked(folder: Path) -> Iterator[Forked]:
    """The server, until the end of the block."""
    folder.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PINTALLY_")}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.security.forked"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean,
    )
    try:
        yield Forked(server, folder)
    finally:
        server.terminate()
        server.communicate()


def load() -> None:
    """Import all that commands import when they are called."""
    import importlib

    from pintally.cli import COMMANDS

    for name in COMMANDS:
        importlib.import_module(f"pintally.cli.{name.replace('-', '_')}")
    importlib.import_module("pintally.streams.worker.run")
    importlib.import_module("pintally.cli.replaying")


def serve() -> None:
    """Until stdin ends."""
    load()
    running: dict[int, tuple[dict[str, Any], float]] = {}  # process -> what was asked, began
    asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    is_open, rest = True, b""
    while is_open or running or not asked.empty():
        if is_open and select.select([0], [], [], 0.02)[0]:
            data = os.read(0, 1 << 20)
            is_open = bool(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                asked.put(json.loads(line))
        elif not is_open:
            time.sleep(0.02)
        while len(running) < AT_ONCE and not asked.empty():
            one = asked.get()
            running[fork(one)] = (one, time.monotonic())
        reap(running)


def fork(asked: dict[str, Any]) -> int:
    """Start one command; its process."""
    process = os.fork()
    if process:
        return process
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # it does not outlive the server
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{asked['folder']}/{name}", os.O_WRONLY | os.O_CREAT), number)
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = ["pintally", *asked["arguments"]]
    code = 1
    try:
        from pintally.cli import main

        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:  # noqa: BLE001 - as the interpreter itself: it is printed, and the exit code is 1
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def reap(running: dict[int, tuple[dict[str, Any], float]]) -> None:
    """Say which have ended; kill those that take too long."""
    for process, (asked, began) in list(running.items()):
        ended, status = os.waitpid(process, os.WNOHANG)
        seconds = time.monotonic() - began
        code = os.waitstatus_to_exitcode(status) if ended else None
        if not ended and seconds <= asked["seconds"] and not has_said(asked):
            continue
        if not ended:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        del running[process]
        print(json.dumps({"id": asked["id"], "code": code, "seconds": round(seconds, 2)}), flush=True)


def has_said(asked: dict[str, Any]) -> bool:
    """Whether a command has said what it was to be killed after."""
    said = Path(asked["folder"], "err")
    return bool(asked["until"]) and said.exists() and asked["until"] in said.read_text(errors="replace")


if __name__ == "__main__":
    serve()
