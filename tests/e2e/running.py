"""Workers and traffic as whole processes, as operators start them."""

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pintally.schemas.errors import PintallyError, SinkUnavailable
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.operations.progress import read_progress
from pintally.streams.settings import Settings
from pintally.tools.drill.workers import PINTALLY_WORKER
from pintally.tools.python import PINTALLY
from tests.support.forkserver import Forked, fork_server

CATCH_UP_S = 120.0
READY = "counting begins"  # in the log of a worker: it has partitions and reads them
TRANSACTION_MS = 900_000  # the longest that a broker allows: after it, it aborts an open one by itself
ASKED_S = 0.3  # between two questions that open connections to both engines
BUSY = 3.0  # times as long as all waits may take on a machine with other work; only failures take it
Answer = TypeVar("Answer")


def start_process(
    command: Sequence[str], settings: Settings, log: Path, out: Path | None = None, *, signals_wait: bool = False
) -> "subprocess.Popen[bytes] | Forked":
    """Start a command with these settings; forked where that is the same. What it says is in the files.

    It runs in the folder of its log: in that of the repository may be `.pintally`, of which a page shows what workers
    leave, and where `make demo` has its own.
    """
    environment, folder = settings.environment(), log.parent
    if fork_server().has_loaded(command, environment):
        return fork_server().start(
            command, environment=environment, log=log, out=out, folder=folder, signals_wait=signals_wait
        )
    with log.open("ab") as err, (out or log).open("ab") as said:
        return subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=err)


class Worker:
    """One `pintally worker` process."""

    def __init__(
        self, settings: Settings, log: Path, instance: str | None = "one", command: Sequence[str] = PINTALLY_WORKER
    ) -> None:
        self.log = log
        named = ["--instance", instance] if instance else []
        self.process = start_process([*command, *named], settings, log, signals_wait=True)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def said(self, words: str) -> bool:
        """Whether its log has these words."""
        return words in self.log.read_text(errors="replace")

    def wait_ready(self) -> None:
        """Return once it has partitions and reads them."""
        wait_for(lambda: self.said(READY), 60, "worker ready")

    def kill(self) -> None:
        """SIGKILL: no time to say goodbye."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM and wait; its exit code."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30 * BUSY)

    def close(self) -> None:
        if self.alive:
            self.kill()


@contextmanager
def workers(settings: Settings, directory: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers on demand; ends those that are left. On a failure their logs are in the error's notes."""
    started: list[Worker] = []

    def start(instance: str | None = "one", command: Sequence[str] = PINTALLY_WORKER) -> Worker:
        started.append(Worker(settings, directory / f"worker-{len(started)}.log", instance, command))
        return started[-1]

    try:
        yield start
    except BaseException as error:
        for worker in started:
            error.add_note(f"{worker.log.name}:\n{worker.log.read_text(errors='replace')[-3000:]}")
        raise
    finally:
        for worker in started:
            worker.close()


def pintally(settings: Settings, *arguments: str, timeout: float = 120.0) -> "subprocess.CompletedProcess[str]":
    """Run `pintally` with these arguments to its end. Raises subprocess.TimeoutExpired."""
    return run([*PINTALLY, *arguments], settings, timeout)


def run(command: Sequence[str], settings: Settings, timeout: float = 120.0) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end. Raises subprocess.TimeoutExpired."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = start_process(command, settings, err, out)
        try:
            code = process.wait(timeout * BUSY)
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())


class Traffic:
    """`pintally emulate` in the background."""

    def __init__(self, settings: Settings, *arguments: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._out, self._err = Path(self._folder.name, "out"), Path(self._folder.name, "err")
        self.process = start_process([*PINTALLY, "emulate", "--json", *arguments], settings, self._err, self._out)

    def finish(self, timeout: float = 120.0) -> Mapping[str, int]:
        """Wait for its end; what it says it sent, by outcome. Raises AssertionError with its words if it failed."""
        assert self.process.wait(timeout * BUSY) == 0, self._err.read_text()
        sent: Mapping[str, int] = json.loads(self._out.read_text())
        return sent

    def stop(self) -> Mapping[str, int]:
        """End it as Ctrl-C does, and what it says it sent: of traffic that goes on until a test has seen enough."""
        self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def __enter__(self) -> "Traffic":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()


def wait_for(condition: Callable[[], Answer | None], timeout: float, what: str, pause: float = 0.1) -> Answer:
    """The first true answer of `condition`, which is asked again after a pause; raises TimeoutError naming `what`."""
    end = time.monotonic() + timeout * BUSY
    while not (answer := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {timeout * BUSY:.0f} s")
        time.sleep(pause)
    return answer


def progress(settings: Settings) -> tuple[int, int]:
    """Offsets recorded by the ledger and offsets in the log, summed over all sources."""
    sources = read_progress(settings.kafka, settings.topics, ClickHouseSink(settings.clickhouse))
    return sum(source.position or 0 for source in sources), sum(source.log_end for source in sources)


def wait_caught_up(settings: Settings, timeout: float = CATCH_UP_S) -> None:
    """Return once the ledger has recorded the whole log."""

    def caught_up() -> bool:
        try:
            recorded, end = progress(settings)
        except (SinkUnavailable, PintallyError):
            return False
        return recorded == end

    wait_for(caught_up, timeout, "ledger caught up with the log", ASKED_S)


def verify(settings: Settings, timeout: float = 120.0) -> Mapping[str, Any]:
    """Run `pintally verify --json`; raises AssertionError with its words unless it finds the counts exact."""
    done = pintally(settings, "verify", "--json", "--processes", "1", timeout=timeout)
    assert done.returncode == 0, f"verify exited {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found
