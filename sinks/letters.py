"""Dead letters to ClickHouse, byte by byte as they were."""

from collections.abc import Sequence

from schemas.rows import DeadLetterRow
from sinks.connection import Connection

COLUMNS = (
    "source", "topic", "topic_id", "partition", "offset", "timestamp", "fate", "reason", "key", "value", "headers",
)  # fmt: skip


def write_dead_letters(connection: Connection, rows: Sequence[DeadLetterRow]) -> None:
    """Insert dead letters; a repetition replaces the row with the same origin."""
    # Nothing is decoded: keys, values and headers need not be UTF-8. Hence even the names go as bytes.
    connection.insert("dead_letters", COLUMNS, [_values(row) for row in rows], strings_as_bytes=True)


def _values(row: DeadLetterRow) -> tuple[object, ...]:
    source = row.source
    headers = [(name.encode("utf-8", "surrogateescape"), value) for name, value in row.headers]
    origin = (source.id, source.topic.encode(), source.topic_id, source.partition, row.offset, row.timestamp)
    return (*origin, row.fate, row.reason.encode("utf-8", "replace"), row.key, row.value, headers)
