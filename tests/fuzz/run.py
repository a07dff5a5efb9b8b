"""One worker against hostile records on real engines: what was sent, what became of it, and how the worker fared."""

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidTimestampError, KafkaError

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.operations.progress import read_progress
from pintally.streams.settings import Settings
from tests.e2e.running import Worker, verify, wait_caught_up, workers
from tests.fuzz.hostile import Hostile
from tests.fuzz.raw import Raw, RawBatch

LARGEST = 16 << 20  # bytes of a batch
STALL_CPU_SECONDS = 60.0  # of the worker without progress: a stall even on a machine with much else to do
STALL_SECONDS = 300.0  # and by the clock, for one that waits for what never comes
TOO_FAR = (6 * 60_000, 2**32 * 1000, 2**61)  # ms ahead of now: the broker must refuse them
STAMPED = Action.CLOSEUP  # its topic takes the producer's timestamps
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Sent:
    """What the brokers took, and what they refused."""

    records: int = 0
    aborted: int = 0
    transactions: int = 0
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Sample:
    """How far the ledger was at a moment, and how much memory the worker had."""

    seconds: float
    position: int
    rss: int  # bytes


def fuzz(settings: Settings, records: int, seed: int, directory: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Send `records` hostile records while a worker counts; raises AssertionError unless all went well.

    The topics and tables must be there and empty. Well is: one worker process from beginning to end, progress all
    along, each record with one outcome, `verify` exact, memory flat.
    """
    _open_wide(settings)
    with workers(settings, directory) as start:
        worker = start()
        worker.wait_ready()
        watch = Watch(settings, worker, say)
        with watch:
            began = time.monotonic()
            sent = asyncio.run(_send(settings, records, seed))
            say(f"sent {sent.records:,} records in {time.monotonic() - began:.0f} s; refused: {dict(sent.refused)}")
            wait_caught_up(settings, 60 + records / 1_000)
        assert worker.alive, "the worker has ended"
        for words in ("this worker ends", "Crashed", "Traceback"):
            assert not worker.said(words), f"the worker said {words!r}: {worker.log}"
        seconds = time.monotonic() - began
        outcomes = _outcomes(settings)
        found = verify(settings, timeout=120 + records / 500)
    stall = f"no progress for {watch.longest_stall:.0f} s, {watch.longest_stall_cpu:.0f} s of CPU"
    assert watch.longest_stall < STALL_SECONDS, stall
    assert watch.longest_stall_cpu < STALL_CPU_SECONDS, stall
    judged = sum(outcomes.values()) - outcomes["gaps"]
    assert judged == sent.records, f"{sent.records} records were taken, {judged} have an outcome"
    # A marker a partition and transaction ends each, committed or aborted.
    assert outcomes["gaps"] == sent.aborted + sent.transactions
    return {
        "seed": seed,
        "records": sent.records,
        "refused": dict(sent.refused),
        "seconds": round(seconds, 1),
        "outcomes": outcomes,
        "exact": found["exact"],
        "longest_stall_seconds": round(watch.longest_stall, 1),
        "longest_stall_cpu_seconds": round(watch.longest_stall_cpu, 1),
        "rss_mb": watch.thirds(),
    }


class Watch:
    """Samples a worker in a thread."""

    def __init__(self, settings: Settings, worker: Worker, say: Callable[[str], None]) -> None:
        self.samples: list[Sample] = []
        self.longest_stall = 0.0
        self.longest_stall_cpu = 0.0
        self._settings, self._worker, self._say = settings, worker, say
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def thirds(self) -> list[int]:
        """Median memory in MB in the first, second and last third of the run."""
        third = max(1, len(self.samples) // 3)
        parts = (self.samples[:third], self.samples[third : 2 * third], self.samples[-third:])
        return [round(median(sample.rss for sample in part or self.samples) / 1e6) for part in parts]

    def _run(self) -> None:
        began = moved = told = time.monotonic()
        position, used = 0, 0.0
        sink = ClickHouseSink(self._settings.clickhouse)
        while not self._over.wait(0.5) and self._worker.alive:
            try:
                sources = read_progress(self._settings.kafka, self._settings.topics, sink)
            except PintallyError:
                continue
            now = time.monotonic()
            recorded = sum(source.position or 0 for source in sources)
            if recorded > position or all(source.lag == 0 for source in sources):
                cpu = cpu_seconds(self._worker.process.pid)
                self.longest_stall = max(self.longest_stall, now - moved)
                self.longest_stall_cpu = max(self.longest_stall_cpu, cpu - used)
                moved, position, used = now, recorded, cpu
            self.samples.append(Sample(now - began, recorded, rss(self._worker.process.pid)))
            if now - told > 10:
                told = now
                self._say(f"{now - began:.0f} s: {recorded:,} recorded, {self.samples[-1].rss / 1e6:.0f} MB")


def rss(pid: int) -> int:
    """Resident memory of a process in bytes; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _open_wide(settings: Settings) -> None:
    """Topics that let in what they may: batches of 16 MiB, and one with producers' timestamps."""
    wide = {"max.message.bytes": str(LARGEST)}
    theirs = wide | {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": str(settings.rules.to_rules().max_clock_skew_ms),
    }
    set_topic_configs(
        settings.kafka,
        {topic: theirs if action is STAMPED else wide for action, topic in settings.topics.names.items()},
    )


def _outcomes(settings: Settings) -> dict[str, int]:
    names = ("counted", "duplicate", "late", "invalid", "gaps")
    sources = read_progress(settings.kafka, settings.topics, ClickHouseSink(settings.clickhouse))
    return {name: sum(getattr(source.outcomes, name) for source in sources) for name in names}


async def _send(settings: Settings, records: int, seed: int) -> Sent:
    sent = Sent()
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka.bootstrap_servers,
        "acks": "all",
        "max_request_size": 2 * LARGEST,
    }
    plain = AIOKafkaProducer(**options)
    transactional = AIOKafkaProducer(**options, transactional_id=f"{settings.kafka.group_id}-fuzz")
    await plain.start()
    await transactional.start()
    try:
        shares = dict.fromkeys(Action, records // len(Action))
        await asyncio.gather(
            *(_send_topic(plain, settings, action, share, seed, sent) for action, share in shares.items()),
            _send_transactions(transactional, settings, max(4, records // 20_000), seed, sent),
        )
    finally:
        await plain.stop()
        await transactional.stop()
    return sent


async def _send_topic(
    producer: AIOKafkaProducer, settings: Settings, action: Action, records: int, seed: int, sent: Sent
) -> None:
    """A share of the records to one topic, two batches a partition on their way."""
    topic = settings.topics.names[action]
    hostile = Hostile(seed, action.label, stamped=action is STAMPED)
    waiting: set[asyncio.Task[None]] = set()
    for number, batch in enumerate(hostile.batches(records)):
        if action is STAMPED and number % 100 == 50:
            ahead = TOO_FAR[number // 100 % len(TOO_FAR)]
            await _refused(producer, topic, RawBatch([Raw(b"{}", timestamp=hostile.now() + ahead)]), sent)
        future = await producer.send_batch(batch, topic, partition=hostile.random.randrange(settings.topics.partitions))
        waiting.add(asyncio.ensure_future(_taken(future, batch.record_count(), sent)))
        if len(waiting) >= 2 * settings.topics.partitions:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    await asyncio.gather(*waiting)


async def _taken(future: "asyncio.Future[Any]", records: int, sent: Sent) -> None:
    await future
    sent.records += records


async def _refused(producer: AIOKafkaProducer, topic: str, batch: RawBatch, sent: Sent) -> None:
    try:
        await (await producer.send_batch(batch, topic, partition=0))
    except InvalidTimestampError as error:
        sent.refused[type(error).__name__] += 1
    else:
        raise AssertionError(f"the broker took {batch.records[0]}")


async def _send_transactions(
    producer: AIOKafkaProducer, settings: Settings, rounds: int, seed: int, sent: Sent
) -> None:
    """Committed and aborted ones by turns."""
    topic, hostile = settings.topics.names[Action.SAVE], Hostile(seed + 1, Action.SAVE.label, stamped=False)
    for number in range(rounds):
        batch = hostile.batch(hostile.random.randint(1, 200))
        await producer.begin_transaction()
        try:
            await (await producer.send_batch(batch, topic, partition=0))
            await (producer.abort_transaction() if number % 2 else producer.commit_transaction())
        except KafkaError as error:
            raise AssertionError(f"transaction {number} with {batch.record_count()} records") from error
        sent.transactions += 1
        if number % 2:
            sent.aborted += batch.record_count()
        else:
            sent.records += batch.record_count()
