"""Our consumer beside others of the same process, on a real Kafka."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pintally.streams.kafka.clients import options_alone
from pintally.streams.kafka.fetching.consumer import ChunkedConsumer
from pintally.streams.settings import Settings

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
