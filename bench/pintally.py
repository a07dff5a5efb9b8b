"""Pintally in the benchmark: `pintally worker` as it ships, catching up with its own topics of the same records.

Everything is on: validation, duplicates, dead letters, ledger. The settings are the defaults but for the lateness,
which is made long enough that none of the common records is late. What the topics hold on top (see work.py) must not
change a count.

The clocks start when the first start row of the run is in ClickHouse, which a worker writes before it folds its first
record, and stop when the ledger has reached the end of every source's log. Both are looked for every 20 ms. With two
workers they start when both have their share of the partitions, and what was counted until then is left out. After the
last run `pintally verify` must find everything exact, too: actions, outcomes and dead letters, which a comparison of
cells does not see.
"""

import asyncio
import os
import subprocess
import sys
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.cells import compare
from bench.clickhouse import Clickhouse
from bench.drain import PeerFailed, finish, measured, tail, wait
from bench.engines import say
from bench.ground import Ground
from bench.log import fill
from bench.measured import Measured, Watch, peak_bytes
from bench.work import Flaws, flawed
from pintally.streams.kafka.topics import create_topics, describe_topics, group_members, read_offsets, sources_of
from pintally.streams.settings import Settings

LOOK_SECONDS = 0.02
CELLS = "SELECT pin_id, minute, sum(events) FROM pin_minutes FINAL GROUP BY pin_id, minute"
POSITION = "SELECT sum(p) FROM (SELECT max(position) AS p FROM ingest_ledger GROUP BY source)"


@dataclass(frozen=True, slots=True)
class Pintally:
    """`workers` processes on topics with these timestamps."""

    name: str
    title: str
    crash: str
    workers: int = 1
    timestamps: Literal["LogAppendTime", "CreateTime"] = "LogAppendTime"

    def missing(self) -> str | None:
        """Why it cannot run on this machine."""
        return None

    def drain(self, ground: Ground, run: int) -> Measured:
        """One run into a new database, by a new group. Raises PeerFailed."""
        base = topics(ground, self.timestamps)
        database = f"{ground.mark}_{uuid.uuid4().hex[:8]}"
        settings = base.changed(clickhouse_database=database, kafka_group_id=database)
        pintally(settings, "migrate")
        clickhouse = Clickhouse(settings, database)
        try:
            return self._measure(ground, settings, clickhouse, run)
        finally:
            clickhouse.run(f"DROP DATABASE {database}")

    def _measure(self, ground: Ground, settings: Settings, clickhouse: Clickhouse, run: int) -> Measured:
        end_offsets = read_offsets(settings.kafka, sources_of(describe_topics(settings.kafka, settings.topics)))
        end = sum(each.log_end for each in end_offsets.values())
        load = os.getloadavg()[0]
        with ExitStack() as stack:
            workers = [start_worker(settings, number, ground.folder, stack) for number in range(self.workers)]
            watch = Watch(
                tuple(each.process.pid for each in workers), ground.engines.kafka_pid, ground.engines.clickhouse_pid
            )

            def look(query: str, wanted: int) -> bool:
                for each in workers:
                    each.check()
                return clickhouse.number(query) >= wanted

            wait(lambda: look("SELECT count() FROM ingest_starts", 1), LOOK_SECONDS)
            if self.workers > 1:
                wait(lambda: len(group_members(settings.kafka)) == self.workers, LOOK_SECONDS)
            begin, before = watch.now(), clickhouse.number(POSITION) if self.workers > 1 else 0
            if before >= end:
                raise PeerFailed("one worker had counted everything before all had joined: the log is too short")
            wait(lambda: look(POSITION, end), LOOK_SECONDS)
            last, peak = watch.now(), peak_bytes(watch.pids)
        if run == ground.last_run:
            verify(settings, ground.folder)
        found = clickhouse.cells(CELLS)
        wrong = compare(found, ground.log(None).cells).wrong
        return measured(self.name, run, end - before, begin, last, peak, int(found["events"].sum()), wrong, load)


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's process and its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def check(self) -> None:
        """Raise PeerFailed if it has ended."""
        if self.process.poll() is not None:
            raise PeerFailed(f"a worker ended with {self.process.returncode}; the end of its log:\n{tail(self.log)}")


def start_worker(settings: Settings, number: int, folder: Path, stack: ExitStack) -> Worker:
    """Start a worker that ends with `stack`."""
    log = folder / f"{settings.kafka.group_id}-{number}.log"
    command = [sys.executable, "-m", "pintally.cli", "worker", "--log-level", "WARNING"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=settings.environment(), stdout=output, stderr=output)
    stack.callback(finish, process)
    return Worker(process, log)


def topics(ground: Ground, timestamps: str) -> Settings:
    """Settings of Pintally's own topics of the same records; made when they are first asked for."""
    span_seconds = int(ground.work.events * 0.0012)
    settings = ground.engines.settings.changed(
        topic_prefix=f"{ground.mark}.{timestamps}.",
        topic_timestamps=timestamps,
        allowed_lateness_seconds=span_seconds + 3600,
        kafka_group_id="unused",
    )
    if create_topics(*settings.sources):
        say(f"filling Pintally's topics ({timestamps}) ...")
        asyncio.run(fill(settings, ground.work, flawed(ground.work, Flaws()), settings.topics.names.__getitem__))
    return settings


def verify(settings: Settings, folder: Path) -> None:
    """Ask the project's own audit: cells by action, ledger, dead letters. Raises PeerFailed if one differs."""
    say("  pintally verify ...")
    log = folder / f"{settings.kafka.group_id}-verify.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "pintally.cli", "verify"]
        ended = subprocess.run(command, env=settings.environment(), stdout=output, stderr=output, check=False)
    if ended.returncode:
        raise PeerFailed(f"pintally verify ended with {ended.returncode}: {tail(log)}")


def pintally(settings: Settings, *arguments: str) -> None:
    """Run a command to its end. Raises CalledProcessError."""
    line = [sys.executable, "-m", "pintally.cli", *arguments]
    subprocess.run(line, env=settings.environment(), check=True, stdout=subprocess.DEVNULL)
