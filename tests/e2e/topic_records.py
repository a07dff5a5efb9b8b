"""Everything that a topic holds, read with kafka-python."""

from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from pintally.schemas.dead_letters import from_record
from pintally.schemas.rows import DeadLetterRow
from pintally.streams.settings import Settings


def read_topic(settings: Settings, topic: str) -> list[Any]:
    """All records, with their headers."""
    with closing(
        KafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers, enable_auto_commit=False)
    ) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(settings.topics.partitions)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        left = sum(consumer.end_offsets(partitions).values())
        records: list[Any] = []
        while len(records) < left:
            for batch in consumer.poll(timeout_ms=1_000).values():
                records += batch
    return records


def read_letters(settings: Settings, topic: str) -> list[DeadLetterRow]:
    """All dead letters of a dead-letter topic."""
    return [from_record(record.key, record.value, record.headers) for record in read_topic(settings, topic)]
