"""One run of one peer as a child process: started, watched from its first record to its last count, ended."""

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.cells import compare
from bench.clickhouse import Clickhouse
from bench.engines import Engines
from bench.log import Log
from bench.measured import Measured, Moment, Watch, peak_bytes

LOOK_SECONDS = 0.003  # between looks for a mark
LANDED_LOOK_SECONDS = 0.05  # between looks into ClickHouse: each costs it some milliseconds
SETTLED_SECONDS = 12.0  # without another count landed: the rest will not come
GIVE_UP_SECONDS = 900.0

TABLE = """
CREATE TABLE {table} (pin UInt64, minute DateTime('UTC'), events UInt64)
ENGINE = ReplacingMergeTree(events) ORDER BY (minute, pin)
"""


class PeerFailed(Exception):
    """A contestant ended or got nowhere."""


@dataclass(frozen=True, slots=True)
class Started:
    """A child process and where it speaks."""

    process: "subprocess.Popen[bytes]"
    log: Path
    marks: Path

    def has_marked(self, moment: str) -> bool:
        """Whether it has told of this moment. Raises PeerFailed if it has ended."""
        if self.process.poll() is not None:
            raise PeerFailed(f"it ended with {self.process.returncode}; the end of its log:\n{tail(self.log)}")
        return moment in self.marks.read_text().split()


def drain(
    name: str, run: int, command: list[str], extra: Mapping[str, str], log: Log, engines: Engines, folder: Path,
    lands: bool = True,
) -> Measured:  # fmt: skip
    """Let `command` count `log`. Raises PeerFailed."""
    mark = f"{name.replace('-', '_')}_{uuid.uuid4().hex[:8]}"
    clickhouse = Clickhouse(engines.settings, "default")
    clickhouse.run(TABLE.format(table=mark))
    peer = None
    try:
        load = os.getloadavg()[0]
        peer = start(
            command, tell(log, engines, mark, folder) | dict(extra), folder / f"{mark}.log", folder / f"{mark}.marks"
        )
        watch = Watch((peer.process.pid,), engines.kafka_pid, engines.clickhouse_pid)
        wait(lambda: peer.has_marked("first"), LOOK_SECONDS)
        begin = watch.now()
        wait(lambda: peer.has_marked("last"), LOOK_SECONDS)
        end = watch.now()
        landed, wrong = None, None
        if lands:
            query = f"SELECT sum(events) FROM {mark} FINAL"
            end, landed = watch_landing(watch, lambda: clickhouse.number(query), log.events)
        peak = peak_bytes(watch.pids)
        if lands:
            found = clickhouse.cells(f"SELECT pin, minute, events FROM {mark} FINAL")
            wrong = compare(found, log.cells).wrong
        return measured(name, run, log.events, begin, end, peak, landed, wrong, load)
    except FileNotFoundError as gone:
        raise PeerFailed(f"it ended while its clocks were read: {gone}") from gone
    finally:
        if peer:
            finish(peer.process)
        clickhouse.run(f"DROP TABLE {mark}")


def measured(
    name: str, run: int, events: int, begin: Moment, end: Moment, peak: int, landed: int | None, wrong: int | None,
    load: float,
) -> Measured:  # fmt: skip
    """What was used between two moments."""

    def between(first: float | None, last: float | None) -> float | None:
        return None if first is None or last is None else last - first

    kafka, clickhouse = between(begin.kafka, end.kafka), between(begin.clickhouse, end.clickhouse)
    cpu, seconds = end.cpu - begin.cpu, end.at - begin.at
    return Measured(name, run, events, cpu, seconds, peak, kafka, clickhouse, landed, wrong, load)


def tell(log: Log, engines: Engines, mark: str, folder: Path) -> dict[str, str]:
    """What a peer finds in its environment: see peers/told.py."""
    clickhouse = Clickhouse(engines.settings, "default")
    values = {
        "kafka": engines.settings.kafka.bootstrap_servers,
        "topic": log.topic,
        "partitions": log.partitions,
        "events": log.events,
        "start_ms": log.start_ms,
        "group": f"{log.topic}-{mark}",
        "clickhouse": clickhouse.address,
        "user": clickhouse.user,
        "password": clickhouse.password,
        "table": f"default.{mark}",
        "marks": folder / f"{mark}.marks",
        "folder": folder / mark,
    }
    return os.environ | {f"BENCH_{name.upper()}": str(value) for name, value in values.items()}


def start(command: list[str], environment: dict[str, str], log: Path, marks: Path) -> Started:
    """Start a child that logs and marks into these files, in a folder of its own."""
    marks.touch()
    folder = marks.with_suffix("")
    folder.mkdir()
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
    return Started(process, log, marks)


def watch_landing(watch: Watch, landed: Callable[[], int], events: int) -> tuple[Moment, int]:
    """The moment when the last count had landed, and how many events that is; fewer than `events` if no more come."""
    end, total = watch.now(), landed()
    while total < events and time.monotonic() - end.at < SETTLED_SECONDS:
        time.sleep(LANDED_LOOK_SECONDS)
        now, found = watch.now(), landed()
        if found != total:
            end, total = now, found
    return end, total


def wait(done: Callable[[], bool], look_seconds: float, limit_seconds: float = GIVE_UP_SECONDS) -> None:
    """Return when `done()`. Raises PeerFailed after `limit_seconds`."""
    give_up = time.monotonic() + limit_seconds
    while not done():
        if time.monotonic() > give_up:
            raise PeerFailed(f"it did not get there within {limit_seconds:.0f} s")
        time.sleep(look_seconds)


def finish(process: "subprocess.Popen[bytes]") -> None:
    """End a child: politely, then not."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log: Path) -> str:
    """The last lines of a log."""
    return log.read_text(errors="replace")[-3000:]
