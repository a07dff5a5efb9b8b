"""Workers as whole processes: started, watched, started again when they end by themselves, and measured."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pintally.streams.settings import Settings
from pintally.streams.worker import counters
from pintally.tools.drill.stack import Stack, WorkerProxies
from pintally.tools.engines.child import GUARD
from pintally.tools.python import PINTALLY

PINTALLY_WORKER = (*PINTALLY, "worker")
LOOK_SECONDS = 0.3
AGAIN_SECONDS = 0.5  # before a worker that ended by itself is started again
STOP_SECONDS = 30.0
# In the log its lines are indented; what Python itself prints is not.
TRACEBACK = re.compile(r"^( *)Traceback \(most recent call last\):\n(?:\1\s.*\n)*\1(\S.*)$", re.MULTILINE)
LONGEST = 200  # characters kept of an error


class WorkerProcess:
    """One place for a worker: its log, and the process that runs there now."""

    def __init__(self, settings: Settings, log: Path, name: str, static: bool, command: Sequence[str]) -> None:
        self.name = name
        self.log = log
        self.wanted = False
        self.pid = 0
        self._counters = log.with_suffix(".counters.json")
        self._before: dict[str, int] = {}  # what was counted when the process was started
        self.starts = 0
        self.ended_by_itself: list[int] = []  # exit codes
        self.peak_bytes = 0  # of resident memory, of any process that ran here
        self._environment = settings.environment()
        self._command = [*command, "--counters", str(self._counters), *(["--instance", name] if static else [])]
        self._guard: subprocess.Popen[bytes] | None = None
        self._turn = threading.RLock()
        self.log.touch()

    @property
    def alive(self) -> bool:
        """Whether a process runs here."""
        return self._guard is not None and self._guard.poll() is None

    def start(self) -> None:
        """Start a process, if none runs."""
        with self._turn:
            if self.alive:
                return
            self._close()
            self._before = counters.read(self._counters)
            self._guard, self.pid = self._spawn()
            self.starts += 1
            self.wanted = True

    def _spawn(self) -> tuple["subprocess.Popen[bytes]", int]:
        """The process that guards the worker, and the worker's id."""
        guarded = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), "signal", *self._command]
        with self.log.open("ab") as log:
            guard = subprocess.Popen(
                guarded,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the drill
            )
        assert guard.stdout
        return guard, int(guard.stdout.readline() or 0)

    def count(self, name: counters.Name) -> int:
        """How often it happened by now, to any process that ran here."""
        return counters.read(self._counters).get(name, 0)

    def count_of_process(self, name: counters.Name) -> int:
        """How often it happened since a process was last started here."""
        return self.count(name) - self._before.get(name, 0)

    @property
    def ready(self) -> bool:
        """Whether the process that runs has begun to count."""
        return self.count_of_process("starts") > 0 and self.count("ready") == 1

    def kill(self) -> int:
        """SIGKILL: no time to say goodbye. It stays down until `start`; its process id."""
        with self._turn:
            self.wanted = False
            if self.alive:
                os.kill(self.pid, signal.SIGKILL)
                assert self._guard
                self._guard.wait(STOP_SECONDS)
            return self.pid

    def stop(self) -> int:
        """SIGTERM and wait; its exit code."""
        with self._turn:
            self.wanted = False
            if not self._guard:
                return 0
            assert self._guard.stdin
            self._guard.stdin.close()
            code = self._guard.wait(STOP_SECONDS)
            self._close()
            return code

    def signal(self, number: int) -> None:
        """Send a signal to the process, if one runs."""
        with self._turn:
            if self.alive:
                os.kill(self.pid, number)

    def look(self) -> None:
        """Measure the process; start one where it ended by itself."""
        with self._turn:
            if self.alive:
                self.peak_bytes = max(self.peak_bytes, peak_of(self.pid))
            elif self.wanted:
                assert self._guard
                self.ended_by_itself.append(self._guard.returncode)
                time.sleep(AGAIN_SECONDS)
                self.start()

    def _close(self) -> None:
        for pipe in (self._guard.stdin, self._guard.stdout) if self._guard else ():
            if pipe:
                pipe.close()


class Worker(WorkerProcess):
    """One that comes through proxies of its own."""

    def __init__(self, stack: Stack, proxies: WorkerProxies, name: str, static: bool) -> None:
        super().__init__(stack.settings_of(proxies), stack.folder / f"{name}.log", name, static, PINTALLY_WORKER)
        self.proxies = proxies


class Workers:
    """All workers of a drill, the last of which comes and goes with rebalance storms."""

    def __init__(self, stack: Stack) -> None:
        # One of the steady workers has no name in its group: each of its restarts is a rebalance.
        last = len(stack.proxies) - 1
        self.all = [
            Worker(stack, proxies, f"worker-{number + 1}", static=number < last - 1)
            for number, proxies in enumerate(stack.proxies)
        ]
        self.steady, self.extra = self.all[:last], self.all[last]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="workers", daemon=True)

    def __enter__(self) -> "Workers":
        for worker in self.steady:
            worker.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for worker in self.all:
            worker.signal(signal.SIGCONT)
            worker.stop()

    def stop(self) -> list[int]:
        """SIGTERM to all at once; their exit codes."""
        for worker in self.all:
            worker.wanted = False
            worker.signal(signal.SIGTERM)
        return [worker.stop() for worker in self.all if worker.starts]

    def count(self, name: counters.Name) -> int:
        """How often it happened by now, to all workers."""
        return sum(worker.count(name) for worker in self.all)

    def counts(self) -> dict[str, int]:
        """All that was counted; `ready` is no count."""
        return {name: self.count(name) for name in get_args(counters.Name) if name != "ready"}

    def errors(self) -> dict[str, int]:
        """What tracebacks in the workers' logs end with, and how often."""
        found = Counter[str]()
        for worker in self.all:
            found.update(tracebacks(worker.log.read_text(errors="replace")))
        return dict(found.most_common())

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            for worker in self.all:
                worker.look()


def tracebacks(log: str) -> list[str]:
    """The last line of each traceback."""
    return [last[:LONGEST] for _, last in TRACEBACK.findall(log)]


def peak_of(pid: int) -> int:
    """The most resident memory the process has had, in bytes; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
