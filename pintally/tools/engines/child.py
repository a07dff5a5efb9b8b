"""An engine as a supervised child process of ours."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.ready import wait_until

GUARD = Path(__file__).parent / "guard.py"
START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0  # before a crashed engine is started again; doubles each time
STEADY_S = 30.0  # an engine that ran so long did not crash at its start
LOG_LIMIT = 20_000_000  # bytes; a longer log is begun anew


@dataclass(frozen=True, slots=True)
class Program:
    """What is run and how it is stopped."""

    name: str  # for people, e.g. `Kafka`
    command: list[str]
    folder: Path  # where it runs: no file of the current folder is taken for a configuration
    environment: Mapping[str, str]
    stop: Literal["terminal", "signal"]  # see guard.py
    log: Path
    answers: Callable[[], bool]
    explain: Callable[[str], PintallyError | None]  # the end of its log -> why it did not start, if that is known


class Child:
    """One engine. Once it has been ready, a crash is reported and it is started again, until `stop` or `kill`."""

    def __init__(self, program: Program, lock_fd: int | None, report: Callable[[str], None]) -> None:
        self._program = program
        self._lock_fd = lock_fd
        self._report = report
        self._turn = threading.RLock()
        self._guard: subprocess.Popen[bytes] | None = None
        self._engine_pid = 0
        self._started = 0.0
        self._log_start = 0  # where this run's part of the log begins, in bytes
        self._proved = False  # it was ready since start()
        self._over = threading.Event()
        self._over.set()

    @property
    def pid(self) -> int | None:
        """The engine's process id; None while it does not run."""
        with self._turn:
            return self._engine_pid or None if self._guard and self._guard.poll() is None else None

    def start(self) -> None:
        """Start the engine if it does not run; `wait_ready` tells when it can be used."""
        with self._turn:
            if not self._over.is_set():
                return
            self._proved = False
            self._over = threading.Event()
            self._spawn()
            threading.Thread(
                target=self._supervise, args=(self._over,), name=f"supervise {self._program.name}", daemon=True
            ).start()

    def wait_ready(self, timeout_s: float = START_LIMIT_S) -> None:
        """Return once the engine answers. Raises PintallyError, with the reason from its log, if it does not."""

        def is_hopeless() -> bool:
            return not self._proved and self._has_failed()

        if wait_until(lambda: is_hopeless() or self._program.answers(), timeout_s) and not is_hopeless():
            self._proved = True
            return
        error = self._why(timeout_s)
        if not self._proved:
            self.stop()
        raise error

    def kill(self) -> None:
        """SIGKILL, as if the machine had lost it. It stays down until `start`."""
        self._over.set()
        with self._turn:
            pid = self.pid
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            self._join()

    def stop(self) -> None:
        """Stop the engine cleanly. It stays down until `start`."""
        self._over.set()
        with self._turn:
            if self._guard and self._guard.stdin:
                self._guard.stdin.close()
            self._join()

    def _spawn(self) -> None:
        log = self._program.log
        too_long = log.exists() and log.stat().st_size > LOG_LIMIT
        with log.open("wb" if too_long else "ab") as output:
            self._log_start = output.tell()
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), self._program.stop, *self._program.command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=self._program.folder,
                env=dict(self._program.environment),
                start_new_session=True,  # Ctrl-C is for us, not for the engine
                pass_fds=() if self._lock_fd is None else (self._lock_fd,),
            )
        assert self._guard.stdout
        self._engine_pid = int(self._guard.stdout.readline() or 0)
        self._started = time.monotonic()

    def _supervise(self, over: threading.Event) -> None:
        """Until `over`: when the engine ends by itself, say so and start it again."""
        pause = FIRST_PAUSE_S
        while not over.wait(0.1):
            if not (self._proved and self._guard and self._guard.poll() is not None):
                continue
            pause = FIRST_PAUSE_S if time.monotonic() - self._started > STEADY_S else pause
            self._report(f"{self._program.name} ended (status {self._guard.returncode}) and is started again")
            if over.wait(pause):
                return
            pause = min(pause * 2, LONGEST_PAUSE_S)
            with self._turn:
                if over.is_set():
                    return
                self._join()
                self._spawn()
            self._end_if_stuck(over)

    def _end_if_stuck(self, over: threading.Event) -> None:
        """ClickHouse without its port runs on and listens nowhere: such a start is ended, to be tried again."""
        wait_until(lambda: over.is_set() or self._has_failed() or self._program.answers(), START_LIMIT_S)
        with self._turn:
            if not over.is_set() and self.pid is not None and not self._program.answers():
                os.kill(self.pid, signal.SIGKILL)

    def _join(self) -> None:
        """Wait for the guard's end and close its pipes."""
        if not self._guard:
            return
        try:
            self._guard.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe:
                pipe.close()

    def _has_failed(self) -> bool:
        """Whether this start has ended, or its log says why it will come to nothing."""
        if self._guard is None or self._guard.poll() is not None:
            return True
        return self._program.explain(self._log_of_this_start()) is not None

    def _why(self, timeout_s: float) -> PintallyError:
        """Why the engine cannot be used, from its log."""
        name, tail = self._program.name, self._log_of_this_start()
        happened = f"did not answer within {timeout_s:.0f} s" if self.pid is not None else "ended"
        last = "\n".join(f"    {line}" for line in tail.splitlines()[-8:])
        return self._program.explain(tail) or PintallyError(
            f"{name} {happened}; the end of its log:\n{last}", f"Read {self._program.log}."
        )

    def _log_of_this_start(self) -> str:
        """At most its last 4,000 bytes."""
        with self._program.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - 4_000))
            return log.read().decode(errors="replace")
