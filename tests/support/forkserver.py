"""Python processes at a fraction of their cost: a server has imported what they need, and forks one for each.

`python -m tests.support.forkserver` is the server. It reads a JSON object a line for each process that is asked for,
and answers with one when that is there and one when it has ended. All of them end with whoever started the server.
"""

import ctypes
import gc
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pintally.streams.worker.process import SIGNALS
from pintally.tools.python import SAFE

PR_SET_PDEATHSIG = 1  # of linux/prctl.h
STARTED_SECONDS = 600.0  # the first process waits for all that is imported, and compiled if it was changed
PATHS = ("PYTHONPATH", "PYTHONSAFEPATH")  # where modules come from: the server's are loaded


class Forked:
    """A process, as `subprocess.Popen` shows one; `log` has its stderr, and its stdout unless `out` is given."""

    def __init__(self, log: Path, out: Path | None) -> None:
        self.log = log
        self.out = out or log
        self.pid = 0
        self.returncode: int | None = None  # minus the signal if one killed it
        self.ended_at = 0.0  # time.time()
        self.there = threading.Event()
        self._over = threading.Event()

    def text(self) -> str:
        """What it has said."""
        return self.log.read_text(errors="replace")

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; raises subprocess.TimeoutExpired."""
        if not self._over.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def ended(self, code: int, at: float) -> None:
        """It has ended so, then."""
        self.ended_at, self.returncode = at, code
        self._over.set()


class ForkServer:
    """The server, from without. It takes modules from where the environment says when it is made."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PINTALLY_")}
        self._paths = [environment.get(name) for name in PATHS]
        self._made: list[Forked] = []
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forkserver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def has_loaded(self, command: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Whether it can take the place of starting this command, which it can of modules that it has."""
        return tuple(command[:3]) == (*SAFE, "-m") and [environment.get(name) for name in PATHS] == self._paths

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        out: Path | None = None,
        folder: Path | None = None,
        signals_wait: bool = False,
    ) -> Forked:
        """Run what follows `-m` in the command, with no environment but this; what it says is appended to the files.

        With `signals_wait` SIGTERM and SIGINT wait until it takes them, however early they come.
        """
        made = Forked(log, out)
        asked = {
            "command": command[command.index("-m") + 1 :],
            "environment": dict(environment),
            "log": str(log),
            "out": str(made.out),
            "folder": str(folder or Path.cwd()),
            "signals_wait": signals_wait,
        }
        made.log.touch()
        made.out.touch()
        with self._lock:
            self._made.append(made)
            assert self._process.stdin
            self._process.stdin.write(json.dumps(asked | {"id": len(self._made) - 1}) + "\n")
            self._process.stdin.flush()
        if not made.there.wait(STARTED_SECONDS):
            raise TimeoutError("the server that forks does not answer")
        return made

    def close(self) -> None:
        """End it, and kill what it still runs."""
        with self._process:  # closes its pipes, and waits
            assert self._process.stdin
            self._process.stdin.close()
            self._listener.join()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            told = json.loads(line)
            made = self._made[told["id"]]
            if "pid" in told:
                made.pid = told["pid"]
                made.there.set()
            else:
                made.ended(told["code"], told["at"])


@cache
def fork_server() -> ForkServer:
    """The one of this process."""
    return ForkServer()


def load() -> None:
    """Import all that commands and workers import when they run."""
    from pintally.cli import COMMANDS

    for name in COMMANDS:
        import_module(f"pintally.cli.{name.replace('-', '_')}")
    worker = (f"pintally.streams.worker.{name}" for name in ("run", "app", "runner", "serving"))
    for name in ("pintally.cli.replaying", *worker, "tests.controls.switch"):
        import_module(name)
    gc.collect()
    gc.freeze()


def serve() -> None:
    """Until nobody asks any more; then kill what is left."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    load()
    running: dict[int, tuple[int, int]] = {}  # pidfd -> number, process
    rest = b""
    while True:
        for ready in select.select([0, *running], [], [])[0]:
            if ready:
                number, process = running.pop(ready)
                os.close(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
                say(id=number, code=code, at=time.time())
                continue
            if not (data := os.read(0, 1 << 20)):
                for _, process in running.values():
                    os.kill(process, signal.SIGKILL)
                return
            *lines, rest = (rest + data).split(b"\n")
            for asked in map(json.loads, lines):
                process = os.fork() or run(asked)
                running[os.pidfd_open(process)] = asked["id"], process
                say(id=asked["id"], pid=process)


def say(**told: Any) -> None:
    """Tell whoever started this."""
    os.write(1, json.dumps(told).encode() + b"\n")


def run(asked: Mapping[str, Any]) -> int:
    """Be the process that was asked for; never returns."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.closerange(3, 1024)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, name in ((1, "out"), (2, "log")):
            os.dup2(os.open(asked[name], os.O_WRONLY | os.O_APPEND), number)
        if not asked["signals_wait"]:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        sys.argv = list(asked["command"])
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter itself: it is printed, and the exit code is 1
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
