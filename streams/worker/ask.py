"""Asks Kafka what its clients in a worker do not say: they try again in silence whatever stands in their way."""

import asyncio
from collections.abc import Collection

from pintally.schemas.errors import KafkaUnavailable
from pintally.streams.kafka.topics import describe_topics
from pintally.streams.settings import KafkaSettings, TopicSettings
from pintally.streams.worker.outage import KAFKA


async def ask_why(kafka: KafkaSettings, topics: TopicSettings, unknown: Collection[str]) -> None:
    """Ask once where Kafka seems to be away, or does not know some topics any more; else do nothing.

    Raises KafkaRefused for a login or a right that is not given any more, TopicMissing for topics that were deleted.
    """
    KAFKA.still()
    if KAFKA.seconds or unknown:
        try:
            await asyncio.to_thread(describe_topics, kafka, topics)
        except KafkaUnavailable as error:
            KAFKA.away(error.what, "counting")
