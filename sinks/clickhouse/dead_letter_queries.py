"""Queries for dead letters. Values from a person are parameters, never a part of the SQL."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pintally.schemas.framing import PREFIX_BYTES
from pintally.schemas.replays import Origin
from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.dead_letters import WHAT, letter_of
from pintally.sinks.clickhouse.stale_rows import LETTER

PAGE_ROWS = 1000
RecordAddress = tuple[str, UUID, int, int]  # a record: topic, its UUID, partition, offset
# Reasons that differ only in numbers and times are one kind.
KIND = "replaceRegexpAll(reason, '[0-9][0-9T:.Z-]*', '0')"
ORIGIN = "(topic, topic_id, partition, offset)"
# JSON never begins with a byte 0: what does is framed by a schema registry (E12).
JSON = f"substring(ifNull(value, ''), if(startsWith(ifNull(value, ''), char(0)), {PREFIX_BYTES} + 1, 1))"
FIELDS = {  # a field of the value, as text or as a number; '' where the value is no JSON
    "pin": f"(JSONExtractString({JSON}, 'pin_id') = %(pin)s OR JSONExtractRaw({JSON}, 'pin_id') = %(pin)s)",
    "event_id": f"lower(JSONExtractString({JSON}, 'event_id')) = lower(%(event_id)s)",
}
CONDITIONS = {
    "topics": "topic IN %(topics)s",
    "outcome": "outcome = %(outcome)s",
    "reason": "match(reason, %(reason)s)",
    "since_ms": "timestamp >= %(since_ms)s",
    "until_ms": "timestamp < %(until_ms)s",
    **FIELDS,
    "origins": "(topic, partition, offset) IN %(origins)s",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A condition: the dead letters that meet all given fields."""

    topics: tuple[str, ...]
    outcome: str | None = None  # 'late' or 'invalid'
    reason: str | None = None  # a regular expression (RE2) that the reason contains
    since_ms: int | None = None  # Kafka timestamp, Unix ms
    until_ms: int | None = None  # exclusive
    pin: str | None = None  # in decimal
    event_id: str | None = None
    origins: tuple[tuple[str, int, int], ...] | None = None  # topic, partition, offset

    def sql(self) -> tuple[str, dict[str, Any]]:
        """Returns the condition in SQL, and its parameters."""
        given = {name: value for name in CONDITIONS if (value := getattr(self, name)) is not None}
        if any(isinstance(value, tuple) and not value for value in given.values()):
            return "0", {}  # nothing is in an empty list
        return " AND ".join(CONDITIONS[name] for name in given), given


@dataclass(frozen=True, slots=True)
class Kind:
    """Letters of one topic and outcome whose reasons differ only in numbers. Times are the records' Kafka
    timestamps.
    """

    topic: str
    outcome: str
    kind: str
    reason: str  # of one of them
    records: int
    first: datetime
    last: datetime


def find_kinds(connection: Connection, wanted: Wanted) -> list[Kind]:
    """Returns the kinds of dead letters, the most frequent first."""
    condition, parameters = wanted.sql()
    rows = connection.rows(
        f"SELECT topic, toString(outcome) AS what, {KIND} AS kind, argMin(reason, (topic_id, partition, offset)),"
        " count() AS records, min(timestamp), max(timestamp)"
        f" FROM dead_letters FINAL WHERE {condition} GROUP BY topic, what, kind"
        " ORDER BY records DESC, topic, what, kind",
        **parameters,
    )
    return [
        Kind(topic, outcome, kind, reason, records, _moment(first), _moment(last))
        for topic, outcome, kind, reason, records, first, last in rows
    ]


def count_among(connection: Connection, wanted: Wanted, origins: Sequence[Origin]) -> dict[tuple[str, str, str], int]:
    """Returns how many dead letters of each (topic, outcome, kind) have one of these origins."""
    condition, parameters = wanted.sql()
    found: dict[tuple[str, str, str], int] = {}
    for start in range(0, len(origins), PAGE_ROWS):
        some = [(o.source.topic, o.source.topic_id, o.source.partition, o.offset) for o in origins[start:][:PAGE_ROWS]]
        rows = connection.rows(
            f"SELECT topic, toString(outcome) AS what, {KIND} AS kind, count() FROM dead_letters FINAL"
            f" WHERE {condition} AND {ORIGIN} IN %(some)s GROUP BY topic, what, kind",
            some=some,
            **parameters,
        )
        for *key, records in rows:
            found[key[0], key[1], key[2]] = found.get((key[0], key[1], key[2]), 0) + records
    return found


def find_letters(connection: Connection, wanted: Wanted) -> Iterator[DeadLetterRow]:
    """Yields the dead letters by topic, partition and offset, page by page."""
    if wanted.origins is not None and len(wanted.origins) > PAGE_ROWS:
        for start in range(0, len(wanted.origins), PAGE_ROWS):
            yield from find_letters(connection, replace(wanted, origins=wanted.origins[start : start + PAGE_ROWS]))
        return
    condition, parameters = wanted.sql()
    after: RecordAddress | None = None
    while True:
        beyond = f" AND {ORIGIN} > %(after)s" if after else ""
        rows = connection.execute(
            f"SELECT topic, topic_id, partition, {WHAT} FROM dead_letters FINAL WHERE {condition}{beyond}"
            f" ORDER BY {ORIGIN}, epoch DESC LIMIT 1 BY topic, topic_id, partition, offset LIMIT {PAGE_ROWS}",
            {**parameters, **({"after": after} if after else {})},
            settings={"strings_as_bytes": True},
        )
        letters = [letter_of(Source(topic.decode(), uuid, number), *what) for topic, uuid, number, *what in rows]
        yield from letters
        if len(letters) < PAGE_ROWS:
            return
        source = letters[-1].source
        after = (source.topic, source.topic_id, source.partition, letters[-1].offset)


def have_letters(connection: Connection, places: Collection[RecordAddress]) -> set[RecordAddress]:
    """Which of these records are dead letters. Superseded ones are none: what other rules hold of them is not said
    yet.
    """
    known: set[RecordAddress] = set()
    listed = list(places)
    for start in range(0, len(listed), PAGE_ROWS):
        known.update(
            (topic, topic_id, partition, offset)
            for topic, topic_id, partition, offset in connection.rows(
                f"SELECT DISTINCT topic, topic_id, partition, offset FROM dead_letters WHERE {ORIGIN} IN %(some)s"
                f" AND ({LETTER}) NOT IN (SELECT {LETTER} FROM superseded_letters WHERE {ORIGIN} IN %(some)s)",
                some=listed[start : start + PAGE_ROWS],
            )
        )
    return known


def _moment(timestamp: int) -> datetime:
    return datetime.fromtimestamp(max(0, timestamp) / 1000, UTC)
