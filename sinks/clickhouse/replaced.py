"""Writes and reads replaced topics."""

from collections.abc import Sequence

from pintally.schemas.rows import ReplacedRow, Replacement
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.connection import Connection, OnConnection

COLUMNS = (
    "source", "topic", "topic_id", "partition", "old_source", "old_topic", "old_topic_id", "how", "epoch",
    "old_end", "start", "collect_start", "collect_stream_time", "evidence", "note",
)  # fmt: skip
READ = """
SELECT topic, topic_id, partition, old_topic, old_topic_id, toString(how), epoch, old_end, start, collect_start,
    collect_stream_time, evidence, note
FROM ingest_replaced FINAL
WHERE how = 'same_offsets' OR (source, epoch) IN (SELECT source, epoch FROM ingest_starts)
ORDER BY epoch, topic, partition"""


class Replacements(OnConnection):
    """The replaced topics of a session."""

    def write_replaced(self, rows: Sequence[ReplacedRow]) -> None:
        self.connection.insert("ingest_replaced", COLUMNS, [_values(row) for row in rows])


def read_replaced(connection: Connection) -> list[ReplacedRow]:
    """Returns the replacements that took effect, by epoch."""
    return [
        ReplacedRow(
            Source(topic, topic_id, partition), Source(old_topic, old_id, partition), Replacement(how), *numbers
        )
        for topic, topic_id, partition, old_topic, old_id, how, *numbers in connection.rows(READ)
    ]


def _values(row: ReplacedRow) -> tuple[object, ...]:
    new, old = row.source, row.old
    names = (new.id, new.topic, new.topic_id, new.partition, old.id, old.topic, old.topic_id, row.how.value)
    numbers = (row.epoch, row.old_end, row.start, row.collect_start, row.collect_stream_time)
    return (*names, *numbers, row.evidence, row.note)
