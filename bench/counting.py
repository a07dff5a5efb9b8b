"""Topics, tables and workers of Pintally for one measurement, and what it shows of them from outside."""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.clickhouse import Clickhouse
from bench.drain import PeerFailed, finish, tail, wait
from bench.engines import Engines
from bench.log import drop_topics
from bench.measured import KIB, Moment, Watch
from pintally.schemas.shards import Place
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.shards import take_place
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings

LOOK_SECONDS = 0.02
POSITION = "SELECT sum(p) FROM (SELECT max(position) AS p FROM ingest_ledger GROUP BY source)"
INSERTED = "SELECT sum(value) FROM system.events WHERE event = 'InsertedRows'"
CELLS = "SELECT sum(events) FROM pin_minutes FINAL"
OUTCOMES = "SELECT sum(counted) FROM ingest_ledger FINAL"


@dataclass
class Counting:
    """One set of topics and tables, and the workers on it. Made by `counting`."""

    engines: Engines
    settings: Settings
    folder: Path
    servers: list[Clickhouse]  # a server of ClickHouse for each shard
    workers: list["CountingWorker"] = field(default_factory=list)

    @property
    def clickhouse(self) -> Clickhouse:
        """The first server: all of ClickHouse where it is alone."""
        return self.servers[0]

    def start(self, instance: str | None = None, level: str = "WARNING") -> "CountingWorker":
        """A worker as it ships, in a process of its own."""
        log = self.folder / f"{self.settings.kafka.group_id}-{len(self.workers)}.log"
        command = [sys.executable, "-m", "pintally.cli", "worker", "--log-level", level]
        command += ["--instance", instance] if instance else []
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=self.settings.environment(), stdout=output, stderr=output)
        self.workers.append(CountingWorker(process, log))
        return self.workers[-1]

    def wait_ready(self, worker: "CountingWorker") -> None:
        """Return when it has written the start rows of its sources. Raises PeerFailed."""
        self.wait(lambda: self.clickhouse.number("SELECT count() FROM ingest_starts") > 0, worker)

    def wait_landed(self, records: int, *workers: "CountingWorker", limit_seconds: float = 600.0) -> None:
        """Return when the ledger has recorded so many offsets. Raises PeerFailed."""
        self.wait(lambda: self.landed() >= records, *workers, limit_seconds=limit_seconds)

    def wait(self, done: Callable[[], bool], *workers: "CountingWorker", limit_seconds: float = 600.0) -> None:
        """Return when `done()`. Raises PeerFailed if a worker ends or it takes too long."""

        def look() -> bool:
            for each in workers:
                each.check()
            return done()

        wait(look, LOOK_SECONDS, limit_seconds)

    def landed(self) -> int:
        """Offsets that the ledger has recorded, over all sources; on the shard that has recorded least."""
        return min(server.number(POSITION) for server in self.servers)

    def inserted(self) -> int:
        """Rows ever inserted into these servers, into whatever table."""
        return sum(server.number(INSERTED) for server in self.servers)

    def check_exact(self, events: int) -> None:
        """Raise PeerFailed unless the cells of all shards, and the ledger of each, hold exactly so many events."""
        cells = sum(server.number(CELLS) for server in self.servers)
        ledgers = {server.number(OUTCOMES) for server in self.servers}
        if (cells, ledgers) != (events, {events}):
            raise PeerFailed(f"{cells} events in cells, {sorted(ledgers)} in the ledgers; {events} were sent")

    def watch(self, *workers: "CountingWorker") -> Watch:
        """The clocks of these workers and of the engines."""
        pids = tuple(each.process.pid for each in workers)
        others = self.engines.other_clickhouse_pids[: len(self.servers) - 1]
        return Watch(pids, self.engines.kafka_pid, self.engines.clickhouse_pid, others)


@dataclass(frozen=True, slots=True)
class CountingWorker:
    """A worker's process and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def check(self) -> None:
        """Raise PeerFailed if it has ended."""
        if self.process.poll() is not None:
            raise PeerFailed(f"a worker ended with {self.process.returncode}; the end of its log:\n{tail(self.log)}")

    def said(self, words: str) -> int:
        """How many lines of its log have these words."""
        return sum(words in line for line in self.log.read_text(errors="replace").splitlines())

    def kill(self) -> None:
        """SIGKILL: no time to say goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """As a supervisor stops it."""
        finish(self.process)

    @property
    def resident_bytes(self) -> int:
        """Resident memory now."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * KIB for line in lines if line.startswith("VmRSS"))


@dataclass(frozen=True, slots=True)
class Used:
    """What was used between two moments, in seconds of CPU and of time; None: not ours to look at."""

    seconds: float
    worker: float
    kafka: float | None
    clickhouse: float | None

    @classmethod
    def between(cls, begin: Moment, end: Moment) -> "Used":
        """The differences."""

        def passed(first: float | None, last: float | None) -> float | None:
            return None if first is None or last is None else last - first

        return cls(
            end.at - begin.at, end.cpu - begin.cpu, passed(begin.kafka, end.kafka),
            passed(begin.clickhouse, end.clickhouse),
        )  # fmt: skip


@contextmanager
def own_topics(engines: Engines, **changed: Any) -> Iterator[Settings]:
    """New topics for these settings; dropped at the end."""
    mark = f"bench{uuid.uuid4().hex[:8]}"
    settings = engines.settings.changed(**{"topic_prefix": f"{mark}."} | changed)
    create_topics(*settings.sources)
    try:
        yield settings
    finally:
        drop_topics(settings, mark)


@contextmanager
def counting_on(engines: Engines, folder: Path, settings: Settings) -> Iterator[Counting]:
    """New tables and a new group on the topics of `settings`; at the end workers are stopped and tables dropped."""
    mark = f"bench{uuid.uuid4().hex[:8]}"
    settings = settings.changed(clickhouse_database=mark, kafka_group_id=mark)
    shards = settings.clickhouse.shards
    for number, address in enumerate(shards):
        migrate(address)
        if len(shards) > 1:
            take_place(address, Place(number, len(shards)))
    own = Counting(engines, settings, folder, [Clickhouse(settings, mark, number) for number in range(len(shards))])
    try:
        yield own
    finally:
        for worker in own.workers:
            if worker.process.poll() is None:
                worker.stop()
        for server in own.servers:
            server.run(f"DROP DATABASE {mark} SYNC")


@contextmanager
def counting(engines: Engines, folder: Path, **changed: Any) -> Iterator[Counting]:
    """New topics, tables and a new group for these settings; all of it is dropped at the end."""
    with own_topics(engines, **changed) as settings, counting_on(engines, folder, settings) as own:
        yield own
