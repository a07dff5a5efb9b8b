"""Reads a part of one source's log as the worker does, but without its group: assigned, read_committed."""

import asyncio
from collections.abc import AsyncGenerator

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from pintally.schemas.errors import KafkaUnavailable, Refusal
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Chunk
from pintally.streams.kafka.clients import options_alone
from pintally.streams.kafka.fetching.consumer import ChunkedConsumer
from pintally.streams.kafka.rights import TOPIC, UNAUTHORIZED, forbidden
from pintally.streams.settings import KafkaSettings

SILENCE_SECONDS = 30.0  # without an offset gained
POLL_SECONDS = 0.5


async def read_chunks(kafka: KafkaSettings, source: Source, start: int, end: int) -> AsyncGenerator[Chunk, None]:
    """The chunks of the offsets [start, end), which must be below the last stable offset.

    Raises RightMissing, KafkaUnavailable if Kafka falls silent, Refusal if it no longer holds an offset.
    """
    if start >= end:  # a consumer that is closed as soon as it has started ends in CancelledError
        return
    partition = TopicPartition(source.topic, source.partition)
    consumer = ChunkedConsumer(**options_alone(kafka))
    position = start
    try:
        async with consumer:
            consumer.assign([partition])
            consumer.seek(partition, start)
            while position < end:
                async with asyncio.timeout(SILENCE_SECONDS):
                    chunk = await _next(consumer, partition, position)
                yield cut_off(chunk, end)
                position = chunk.end
    except OffsetOutOfRangeError as error:
        raise Refusal(
            f"{source}: Kafka deleted offset {position} while it was read",
            "Run it again; raise the topic's retention if that happens often.",
        ) from error
    except UNAUTHORIZED as error:
        raise forbidden(kafka, error, {TOPIC: ("Read", (source.topic,))}) from error
    except (KafkaError, TimeoutError) as error:
        raise KafkaUnavailable(
            f"Kafka at {kafka} gave nothing of {source} from offset {position} on: {error!r}",
            "Run it again when Kafka answers.",
        ) from error


async def _next(consumer: ChunkedConsumer, partition: TopicPartition, position: int) -> Chunk:
    """The chunk that begins at `position` and moves it."""
    while True:
        chunk = (await consumer.chunks({partition}, POLL_SECONDS)).get(partition)
        if chunk is not None and chunk.start == position and chunk.end > position:
            return chunk


def cut_off(chunk: Chunk, end: int) -> Chunk:
    """The part of a chunk below the offset `end`."""
    if chunk.end <= end:
        return chunk
    n = int(chunk.offsets.searchsorted(end))
    return Chunk(
        chunk.topic,
        chunk.partition,
        chunk.start,
        end,
        chunk.offsets[:n],
        chunk.timestamps[:n],
        chunk.values[:n],
        chunk.envelopes,
    )
