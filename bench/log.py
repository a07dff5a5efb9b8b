"""Logs of the benchmark in Kafka: made, filled with whole batches, read back, dropped."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder

from bench.cells import Cells
from bench.recount import MINUTE_MS, Recount
from bench.shapes import OWN, Shape
from bench.work import MS_AN_EVENT, Slab, Work
from pintally.schemas.actions import Action
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.settings import Settings

BATCH_BYTES = 192 * 1024  # about 1,000 records
MOST_RECORDS = 100_000  # in a batch; it is full of bytes before
MOST_SENT = 100  # batches of a partition that wait for the broker
SILENCE_MS = 30_000


@dataclass(frozen=True, slots=True)
class Log:
    """One topic that is filled, and what a count of it must be."""

    topic: str
    partitions: int
    events: int
    start_ms: int  # event time of its first record
    cells: Cells
    value_bytes: int  # of a value, on average

    @property
    def pins(self) -> int:
        """Different pins."""
        return len(np.unique(self.cells["pin"]))


def make_log(settings: Settings, work: Work, topic: str, events: int) -> Log:
    """Create `topic`, fill it with the first `events` of `work`, and recount what Kafka then holds."""
    config = {"cleanup.policy": "delete", "retention.ms": "-1", "message.timestamp.type": "CreateTime"}
    with open_admin(settings.kafka) as admin:
        shape = {"num_partitions": settings.topics.partitions, "replication_factor": settings.topics.replication}
        admin.create_topics({topic: {**shape, "configs": config}})
        admin.wait_for_topics([topic])
    asyncio.run(fill(settings, work, work.slabs(events), lambda _: topic))
    recount = Recount()
    asyncio.run(read_back(settings, topic, recount.add))
    if recount.events != min(events, work.events):
        raise RuntimeError(f"topic {topic} holds {recount.events} records, not the {events} that were sent")
    size = round(recount.bytes / recount.events)
    return Log(topic, settings.topics.partitions, recount.events, work.start_ms, recount.cells(), size)


def drop_topics(settings: Settings, mark: str) -> None:
    """Delete every topic with `mark` in its name, the peers' internal ones among them."""
    with open_admin(settings.kafka) as admin:
        named = [name for name in admin.list_topics() if mark in name]
        if named:
            admin.delete_topics(named)


async def fill(settings: Settings, work: Work, slabs: Iterable[Slab], topic_of: Callable[[Action], str]) -> None:
    """Send slabs; keyed by pin and partitioned as Java's default does. Within a partition their order stays."""
    producer = AIOKafkaProducer(
        **kafka_options(settings.kafka), enable_idempotence=True, max_batch_size=BATCH_BYTES, linger_ms=0
    )
    await producer.start()
    try:
        filling = _Filling(producer, work, topic_of, settings.topics.partitions)
        for slab in slabs:
            await filling.send(slab)
        await filling.finish()
    finally:
        await producer.stop()


class _Filling:
    """Batches that grow over slabs, one a partition, so that small slabs do not make small batches."""

    def __init__(
        self, producer: AIOKafkaProducer, work: Work, topic_of: Callable[[Action], str], partitions: int
    ) -> None:
        self._producer = producer
        self._pins = work.pins
        self._most = work.shape.batch_records or MOST_RECORDS
        self._topic_of = topic_of
        self._partitions = partitions
        self._batches: dict[tuple[str, int], BatchBuilder] = {}
        self._sent: defaultdict[tuple[str, int], deque[asyncio.Future[object]]] = defaultdict(deque)

    async def send(self, slab: Slab) -> None:
        partitions = self._pins.partitions(slab.pin, self._partitions).tolist()
        topics = {action.value: self._topic_of(action) for action in Action}
        rows = zip(
            slab.action.tolist(), partitions, slab.occurred.tolist(), slab.pin.tolist(), slab.values, strict=True
        )
        for action, partition, timestamp, pin, value in rows:
            place = topics[action], partition
            batch = self._batches.get(place)
            key = self._pins.key(pin)
            if batch is not None:
                if batch.record_count() < self._most and batch.append(timestamp=timestamp, key=key, value=value):
                    continue
                await self._send(place, batch)
            batch = self._batches[place] = self._producer.create_batch()
            batch.append(timestamp=timestamp, key=key, value=value)

    async def finish(self) -> None:
        for place, batch in self._batches.items():
            await self._send(place, batch)
        await asyncio.gather(*(each for sent in self._sent.values() for each in sent))

    async def _send(self, place: tuple[str, int], batch: BatchBuilder) -> None:
        """Hand over a batch. Those of a partition wait in their order, one on its way at a time: their order stays."""
        sent = self._sent[place]
        while len(sent) >= MOST_SENT:
            await sent.popleft()
        topic, partition = place
        sent.append(await self._producer.send_batch(batch, topic, partition=partition))


async def read_back(settings: Settings, topic: str, take: Callable[[list[bytes]], None]) -> None:
    """Pass on the values of all records that `topic` holds now. Raises TimeoutError if Kafka falls silent."""
    consumer = AIOKafkaConsumer(**kafka_options(settings.kafka), enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(settings.topics.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        left = {place for place, end in (await consumer.end_offsets(places)).items() if end}
        ends = await consumer.end_offsets(places)
        while left:
            records = await consumer.getmany(timeout_ms=SILENCE_MS, max_records=20_000)
            if not records:
                raise TimeoutError(f"Kafka gave nothing of {topic} for {SILENCE_MS / 1000:.0f} s")
            for place, found in records.items():
                take([record.value for record in found])
                if found[-1].offset + 1 >= ends[place]:
                    left.discard(place)
    finally:
        await consumer.stop()


def anchored(events: int, shape: Shape = OWN, seed: int = 1) -> Work:
    """Work whose last event happens about now, starting with a whole minute."""
    start = int(time.time() * 1000 - events * MS_AN_EVENT)
    return Work(events, start - start % MINUTE_MS, seed, shape=shape)
