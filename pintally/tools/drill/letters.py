"""Whether each dead letter in ClickHouse is on its topic: `verify` looks at the table alone (C11)."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from pintally.schemas.actions import dead_letter_topic
from pintally.schemas.dead_letters import from_record
from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.connection import Connection
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.settings import KafkaSettings, TopicSettings
from pintally.tools.drill.probe import Place

Origin = tuple[str, int, int]  # topic, partition, offset of the record that was late or invalid
SILENCE_SECONDS = 30.0
TABLE_SECONDS = 60.0


def missing_letters(place: Place) -> list[Origin]:
    """The origins in the table `dead_letters` that no record on a dead-letter topic names, ascending.

    The table is read first, for letters are sent before they are inserted. Raises PintallyError, and TimeoutError if
    Kafka falls silent.
    """
    with Connection(place.settings.clickhouse, TABLE_SECONDS) as connection:
        rows = connection.rows("SELECT topic, partition, offset FROM dead_letters FINAL")
    recorded = {(str(topic), int(partition), int(offset)) for topic, partition, offset in rows}
    return sorted(
        recorded - asyncio.run(_read(place.settings.kafka, _partitions(place.settings.kafka, place.settings.topics)))
    )


def _partitions(kafka: KafkaSettings, asked: TopicSettings) -> list[TopicPartition]:
    names = sorted({dead_letter_topic(topic) for topic in asked.actions})
    with open_admin(kafka) as admin:
        topics = admin.describe_topics(names)
    return [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in topics
        for partition in topic["partitions"]
    ]


async def _read(kafka: KafkaSettings, partitions: Sequence[TopicPartition]) -> set[Origin]:
    found: set[Origin] = set()
    async with AIOKafkaConsumer(
        **kafka_options(kafka), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        left = {at for at, start in (await consumer.beginning_offsets(partitions)).items() if start < ends[at]}
        while left:
            before = left
            async with asyncio.timeout(SILENCE_SECONDS):
                while left == before:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        found.update(origin for record in records if (origin := _origin(record)))
                    left = {at for at in left if await consumer.position(at) < ends[at]}
    return found


def _origin(record: object) -> Origin | None:
    """Of a letter of ours; None of anything else."""
    try:
        letter = from_record(record.key, record.value, record.headers)  # type: ignore[attr-defined]
    except PintallyError:
        return None
    return letter.source.topic, letter.source.partition, letter.offset
