"""Writes and reads dead letters, with unchanged bytes."""

from collections.abc import Sequence

from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.connection import OnConnection

COLUMNS = (
    "source", "topic", "topic_id", "partition", "offset", "timestamp", "outcome", "reason", "key", "value", "headers",
    "epoch",
)  # fmt: skip
# Of a letter of one source; what `letter_of` takes.
WHAT = "offset, timestamp, outcome, reason, key, value, headers, epoch"


class DeadLetters(OnConnection):
    """The dead letters of a session."""

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        # Nothing is decoded: keys, values and headers need not be UTF-8. Hence even the names go as bytes.
        self.connection.insert_records("dead_letters", COLUMNS, [_values(row) for row in rows], strings_as_bytes=True)


def letter_of(
    source: Source,
    offset: int,
    timestamp: int,
    outcome: str | bytes,
    reason: bytes,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[bytes, bytes | None]],
    epoch: int,
) -> DeadLetterRow:
    """Returns the dead letter of a row that was read with `strings_as_bytes`."""
    return DeadLetterRow(
        source=source,
        offset=offset,
        timestamp=timestamp,
        outcome=outcome.decode() if isinstance(outcome, bytes) else outcome,
        reason=reason.decode("utf-8", "replace"),
        key=key,
        value=value,
        headers=tuple((name.decode("utf-8", "surrogateescape"), content) for name, content in headers),
        epoch=epoch,
    )


def _values(row: DeadLetterRow) -> tuple[object, ...]:
    source = row.source
    headers = [(name.encode("utf-8", "surrogateescape"), value) for name, value in row.headers]
    origin = (source.id, source.topic.encode(), source.topic_id, source.partition, row.offset, row.timestamp)
    return (*origin, row.outcome, row.reason.encode("utf-8", "replace"), row.key, row.value, headers, row.epoch)
