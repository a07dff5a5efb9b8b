"""Sends traffic to Kafka: idempotent, acks=all, whole batches of one partition, keys as Java's default partitioner."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.streams.counting.log import TopicInfo
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.kafka.rights import TOPIC, UNAUTHORIZED, right_missing
from pintally.streams.settings import KafkaSettings, TopicSettings
from pintally.tools.emulate.placed import NOWHERE, Placed
from pintally.tools.emulate.traffic import Slab, Traffic
from pintally.tools.emulate.truth import Truth

BATCH_BYTES = 256 * 1024
PREFIX = b"\0\0\0\0\1"  # of a framed value (E12): schema id 1
PATIENCE_SECONDS = 180.0  # how long Kafka may be away: a batch that is given up leaves the truth uncertain
LIVE_STEP_SECONDS = 0.05  # live records wait this long at most for company in their batch


class EmulationFailed(PintallyError):
    """The run ended before its time, and what was sent last is uncertain."""


@dataclass(frozen=True, slots=True)
class Target:
    """The topics to send to."""

    kafka: KafkaSettings
    topics: Mapping[Action, TopicInfo]
    framed: Collection[Action] = ()  # whose topics get values as a schema registry frames them

    @classmethod
    def of(
        cls,
        kafka: KafkaSettings,
        asked: TopicSettings,
        topics: Mapping[str, TopicInfo],
        framed: Collection[Action] = (),
    ) -> "Target":
        """The topics that producers write to, as Kafka described them."""
        return cls(kafka, {action: topics[name] for action, name in asked.names.items()}, framed)

    def prefix(self, action: Action) -> bytes:
        """What stands before each value of the action's topic."""
        return PREFIX if action in self.framed else b""

    def truth(self, traffic: Traffic) -> Truth:
        """An empty truth about these topics."""
        names = {action: topic.name for action, topic in self.topics.items()}
        partitions = {action: topic.partitions for action, topic in self.topics.items()}
        return Truth(traffic.pins, names, partitions, traffic.rules)


async def emulate_into(
    target: Target, traffic: Traffic, stopping: asyncio.Event, progress: Callable[[Truth], None]
) -> Truth:
    """Send `traffic` until it ends or `stopping` is set; return the truth about all that Kafka acknowledged.

    Raises EmulationFailed if Kafka refuses or stops answering, or if sending takes so long that outcomes are uncertain.
    """
    truth = target.truth(traffic)
    producer = AIOKafkaProducer(
        **kafka_options(target.kafka),
        enable_idempotence=True,
        acks="all",
        max_batch_size=BATCH_BYTES,
        linger_ms=0,
        request_timeout_ms=int(PATIENCE_SECONDS * 1000),
    )
    try:
        await producer.start()
        try:
            await _send_all(Sender(producer, target, traffic), truth, stopping, progress)
        finally:
            await producer.stop()
    except UNAUTHORIZED as error:
        # Who may write to no topic is answered that it may not be idempotent, a right of the cluster.
        names = [topic.name for topic in target.topics.values()]
        raise right_missing(target.kafka, TOPIC, "Write", names) from error
    except KafkaError as error:
        raise EmulationFailed(
            f"Kafka at {target.kafka} did not take a batch after {truth.records} records: {error!r}",
            "Emulate into new topics (PINTALLY_TOPIC_PREFIX): the last records may or may not be in these.",
        ) from error
    return truth


async def _send_all(sender: "Sender", truth: Truth, stopping: asyncio.Event, progress: Callable[[Truth], None]) -> None:
    traffic = sender.traffic
    before: tuple[Slab, asyncio.Future[Placed]] | None = None
    running: set[asyncio.Future[Placed]] = set()
    try:
        async for slab in _due(traffic, stopping):
            sending = asyncio.ensure_future(sender.send(slab))
            running.add(sending)
            if before is not None:  # one slab is acknowledged while the next is made and sent
                await _acknowledged(before, traffic, truth, progress)
                running.discard(before[1])
            before = slab, sending
        if before is not None:
            await _acknowledged(before, traffic, truth, progress)
    finally:
        for unfinished in running:
            unfinished.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _acknowledged(
    sent: tuple[Slab, asyncio.Future[Placed]], traffic: Traffic, truth: Truth, progress: Callable[[Truth], None]
) -> None:
    slab, sending = sent
    placed = await sending
    end = traffic.anchor_ms if not traffic.plan.live else int(slab.arrival[-1])
    behind = int(time.time() * 1000) - end
    if behind > traffic.margins.slack:
        raise EmulationFailed(
            f"sending is {behind / 1000:.0f} s behind after {truth.records} records: outcomes are no longer certain",
            "Choose a lower --rate, fewer --events or a shorter --span.",
        )
    truth.add(slab, placed)
    progress(truth)


async def _due(traffic: Traffic, stopping: asyncio.Event) -> AsyncIterator[Slab]:
    """Slabs as fast as they are taken; live ones cut into what is due by now."""
    slabs: Iterator[Slab] = traffic.slabs()
    while not stopping.is_set() and (slab := await asyncio.to_thread(next, slabs, None)) is not None:
        if not traffic.plan.live:
            yield slab
            continue
        sent = 0
        while sent < len(slab) and not stopping.is_set():
            now = int(time.time() * 1000)
            due = int(np.searchsorted(slab.arrival, now, side="right"))
            if due > sent:
                yield slab.part(sent, due)
                sent = due
            else:
                wait = max(LIVE_STEP_SECONDS, min(1.0, (int(slab.arrival[sent]) - now) / 1000))
                await asyncio.sleep(wait)


class Sender:
    """Sends slabs of one traffic with one producer. Within a partition the order is that of the calls of `send`."""

    def __init__(self, producer: AIOKafkaProducer, target: Target, traffic: Traffic) -> None:
        self.traffic = traffic
        self._producer = producer
        self._target = target
        # Of those that wait for a place in a partition's queue the producer takes any: so only one may wait.
        self._turns: defaultdict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def send(self, slab: Slab) -> Placed:
        """Send a slab and wait until all of it is acknowledged: where it is. The next call need not wait for that."""
        parts, placed = [], Placed(np.full(len(slab), NOWHERE), slab.arrival.copy())
        for action, topic in self._target.topics.items():
            of_topic = np.flatnonzero(slab.action == action)
            partitions = self.traffic.pins.partitions(slab.pin[of_topic], topic.partitions)
            for partition in np.unique(partitions).tolist():
                chosen = of_topic[partitions == partition]
                parts.append(self._send_part(topic.name, partition, slab, chosen, self._target.prefix(action), placed))
        await asyncio.gather(*parts)
        return placed

    async def _send_part(
        self, topic: str, partition: int, slab: Slab, chosen: NDArray[np.int64], prefix: bytes, placed: Placed
    ) -> None:
        sent: list[tuple[int, asyncio.Future[RecordMetadata]]] = []  # how many records are in each batch
        async with self._turns[topic, partition]:
            for batch in self._batches(slab, chosen, prefix):
                told = await self._producer.send_batch(batch, topic, partition=partition)
                sent.append((batch.record_count(), told))
        first = 0
        for (records, _), told in zip(sent, await asyncio.gather(*(answer for _, answer in sent)), strict=True):
            _place(placed, chosen[first : first + records], told)
            first += records

    def _batches(self, slab: Slab, chosen: NDArray[np.int64], prefix: bytes) -> Iterator[BatchBuilder]:
        batch = self._producer.create_batch()
        times, pins = slab.arrival[chosen].tolist(), slab.pin[chosen].tolist()
        for index, timestamp, pin in zip(chosen.tolist(), times, pins, strict=True):
            key, made = self.traffic.pins.key(pin), slab.values[index]
            value = made if made is None else prefix + made
            if batch.append(timestamp=timestamp, key=key, value=value) is None:
                yield batch
                batch = self._producer.create_batch()
                batch.append(timestamp=timestamp, key=key, value=value)
        yield batch


def _place(placed: Placed, records: NDArray[np.int64], told: RecordMetadata) -> None:
    """Note where Kafka put a batch."""
    if told.offset >= 0:
        placed.offsets[records] = told.offset + np.arange(len(records))
    if told.timestamp >= 0:  # the broker stamped them
        placed.timestamps[records] = told.timestamp
