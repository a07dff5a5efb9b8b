"""Our consumer beside others of the same process, on a real Kafka."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.conn import AIOKafkaConnection
from kafka import KafkaProducer
from kafka.admin import NewTopic

from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.clients import options_alone
from pintally.streams.kafka.fetching import consumer as fetching
from pintally.streams.kafka.fetching import refused
from pintally.streams.kafka.fetching.consumer import ChunkedConsumer
from pintally.streams.settings import Settings
from tests.support.engines import TestEngines, drop_topics

SECONDS = 3.0
FETCH, METADATA = 1, 3  # keys of Kafka's requests
LARGE = b"x" * 100_000  # longer than what a response may be to be copied


async def values_of(consumer: AIOKafkaConsumer | ChunkedConsumer, place: TopicPartition, n: int) -> list[bytes | None]:
    """The next n values, by the methods of this kind of consumer."""
    found: list[bytes | None] = []
    async with asyncio.timeout(60):
        while len(found) < n:
            if isinstance(consumer, ChunkedConsumer):
                found += [value for chunk in (await consumer.chunks({place}, 1.0)).values() for value in chunk.values]
            else:
                records = await consumer.getmany(place, timeout_ms=1000)
                found += [record.value for record in records.get(place, [])]
    return found


def test_other_consumers_and_producers_of_the_process_go_on_as_they_were(settings: Settings, topic: str) -> None:
    place, values = TopicPartition(topic, 0), [b"one", LARGE, b"three"]

    async def run() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
        theirs, ours = (
            AIOKafkaConsumer(**options_alone(settings.kafka)),
            ChunkedConsumer(**options_alone(settings.kafka)),
        )
        async with producer, theirs:
            theirs.assign([place])
            theirs.seek(place, 0)
            for value in values:
                await producer.send_and_wait(topic, value, partition=0)
            assert await values_of(theirs, place, 3) == values
            async with ours:
                ours.assign([place])
                ours.seek(place, 0)
                assert await values_of(ours, place, 3) == values
                for value in values:
                    await producer.send_and_wait(topic, value, partition=0)
                assert await values_of(theirs, place, 3) == values
                assert await values_of(ours, place, 3) == values
            later = AIOKafkaConsumer(**options_alone(settings.kafka))
            async with later:
                later.assign([place])
                later.seek(place, 0)
                assert await values_of(later, place, 6) == values * 2

    asyncio.run(run())


PARTITIONS, EACH = 40, 3
LIMITS = {"max_partition_fetch_bytes": 3 * len(LARGE), "fetch_max_bytes": 6 * len(LARGE)}
AHEAD = 10 * len(LARGE)


@pytest.fixture
def many(settings: Settings, engines: TestEngines) -> Iterator[list[TopicPartition]]:
    """Partitions with a few large records each."""
    name = f"{settings.topics.topic_prefix}many"
    with open_admin(settings.kafka) as admin:
        admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    with closing(KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)) as producer:
        for partition in range(PARTITIONS):
            for _ in range(EACH):
                producer.send(name, LARGE, partition=partition)
    yield [TopicPartition(name, partition) for partition in range(PARTITIONS)]
    drop_topics(engines.addresses, name)


def test_all_partitions_together_are_not_fetched_further_ahead_than_a_bound_and_none_starves(
    settings: Settings, many: list[TopicPartition], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "AHEAD_BYTES", AHEAD)

    async def run() -> None:
        async with ChunkedConsumer(**options_alone(settings.kafka) | LIMITS) as ours:
            ours.assign(many)
            for place in many:
                ours.seek(place, 0)
            before, held = -1, await settled(ours, AHEAD)
            while held > before:
                before, held = held, await settled(ours, held)
            assert AHEAD <= held < AHEAD + LIMITS["fetch_max_bytes"] + len(LARGE)
            for part in (many[PARTITIONS // 2 :], many[: PARTITIONS // 2]):
                found = Counter[TopicPartition]()
                async with asyncio.timeout(60):
                    while found.total() < EACH * len(part):
                        chunks = await ours.chunks(set(part), 1.0)
                        found.update({place: len(chunk.values) for place, chunk in chunks.items()})
                assert found == dict.fromkeys(part, EACH)

    async def settled(ours: ChunkedConsumer, least: int) -> int:
        """The bytes that wait, a moment after there are as many as this."""
        async with asyncio.timeout(60):
            while ours._fetcher.ahead_bytes < least:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)
        return int(ours._fetcher.ahead_bytes)

    asyncio.run(run())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How many requests of each key are sent."""
    send, found = AIOKafkaConnection.send, Counter[int]()

    def counted(connection: AIOKafkaConnection, request: object, *args: object, **options: object) -> object:
        found[request.API_KEY] += 1  # type: ignore[attr-defined]
        return send(connection, request, *args, **options)

    monkeypatch.setattr(AIOKafkaConnection, "send", counted)
    monkeypatch.setattr(refused, "SAID_AFTER", SECONDS / 2)
    return found


def damage(engines: TestEngines, place: TopicPartition) -> None:
    """Its second batch says that it is nothing: the broker finds none of what stands behind it any more."""
    if engines.backend != "local":
        pytest.skip("the files of these engines are not at hand")
    (file,) = Path(f"/proc/{engines.kafka.pid}/cwd").resolve().glob(f"**/{place.topic}-{place.partition}/0*.log")
    with file.open("r+b") as log:
        log.seek(8)
        log.seek(12 + int.from_bytes(log.read(4), "big") + 8)
        log.write(bytes(4))


def test_a_log_that_is_damaged_on_the_brokers_disk_is_asked_for_now_and_then_and_others_are_read(
    settings: Settings, topic: str, engines: TestEngines, asked: Counter[int], caplog: pytest.LogCaptureFixture
) -> None:
    """It was asked for a thousand times a second, for ever, and nobody said why it was not counted."""
    bad, good = TopicPartition(topic, 0), TopicPartition(topic, 1)

    async def run() -> None:
        async with AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers) as producer:
            for value in (b"1", b"2", b"3", b"4"):
                await producer.send_and_wait(topic, value, partition=0)
            damage(engines, bad)
            async with ChunkedConsumer(**options_alone(settings.kafka)) as ours:
                ours.assign([bad, good])
                ours.seek(bad, 3)
                ours.seek(good, 0)
                asked.clear()
                began = time.monotonic()
                while time.monotonic() - began < SECONDS:
                    assert not await ours.chunks({bad}, 0.5)
                assert asked[FETCH] < 30 * SECONDS
                assert f"{topic}[0] has not been fetched for" in caplog.text
                assert "CorruptRecordException" in caplog.text
                await producer.send_and_wait(topic, b"another", partition=1)
                assert await values_of(ours, good, 1) == [b"another"]

    asyncio.run(run())


def test_a_partition_without_a_leader_costs_few_questions_and_is_named(
    settings: Settings, asked: Counter[int], caplog: pytest.LogCaptureFixture
) -> None:
    """It was 800 a second, while its brokers were in trouble."""
    place = TopicPartition("nobody.has.it", 0)

    async def run() -> None:
        async with ChunkedConsumer(**options_alone(settings.kafka)) as ours:
            ours.assign([place])
            ours.seek(place, 7)
            asked.clear()
            assert not await ours.chunks({place}, SECONDS)

    asyncio.run(run())
    assert 1 < asked[METADATA] <= 6 * SECONDS
    assert "nobody.has.it[0] has not been fetched for" in caplog.text
    assert "it has no leader" in caplog.text
