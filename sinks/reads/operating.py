"""What those who operate it ask of ClickHouse: what is sealed, kinds of dead letters, sizes of tables. Only reads."""

from dataclasses import dataclass
from typing import Final

from pintally.schemas.cells import CELL_TABLES
from pintally.schemas.dead_letters import UNREADABLE
from pintally.schemas.field_at_fault import field_of
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.dead_letter_queries import KIND

MINUTES: Final = 60
# Superseded rows by table, of tables that have some.
SUPERSEDED: Final = """
SELECT toString(table), count() FROM superseded_cells GROUP BY table
UNION ALL SELECT 'ingest_ledger', count() FROM superseded_ledger
UNION ALL SELECT 'dead_letters', count() FROM superseded_letters
"""
MAY_BE_SUPERSEDED: Final = (*(kind.table for kind in CELL_TABLES), "ingest_ledger", "dead_letters")
LETTERS = f"""
SELECT topic, toString(outcome) AS what, {KIND} AS kind,
    arrayExists(header -> header.1 = '{UNREADABLE}', headers) AS unreadable,
    argMin(reason, (topic_id, partition, offset)), count() AS records
FROM dead_letters FINAL
WHERE topic IN %(topics)s
GROUP BY topic, what, kind, unreadable
ORDER BY records DESC, topic, what, kind
"""
# Sizes are those of this server; of a view there are none.
TABLES = """
SELECT name, ifNull(total_rows, 0), ifNull(total_bytes, 0), ifNull(active_parts, 0)
FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree'
ORDER BY name
"""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is sealed; moments in seconds since 1970, 0 if there is none."""

    until: int
    open_hours: int
    newest_cut: int


@dataclass(frozen=True, slots=True)
class LetterKind:
    """Dead letters of one topic, outcome and field, and the reason of one of them."""

    topic: str
    outcome: str
    field: str
    records: int
    reason: str


@dataclass(frozen=True, slots=True)
class TableSize:
    """One table on disk."""

    name: str
    rows: int
    bytes: int
    parts: int


def read_sealed(connection: Connection) -> Sealed:
    """Returns what is sealed now."""
    until, open_hours = connection.one("SELECT toUnixTimestamp(sealed_until), length(open_hours) FROM seal_state")
    (newest,) = connection.one("SELECT toUnixTimestamp(max(cut)) FROM cuts")
    return Sealed(until, open_hours, newest)


def read_letter_kinds(connection: Connection, topics: tuple[str, ...]) -> list[LetterKind]:
    """Returns the dead letters by topic, outcome and field, the most frequent first."""
    found: dict[tuple[str, str, str], LetterKind] = {}
    for topic, outcome, _, unreadable, reason, records in connection.rows(LETTERS, topics=topics):
        key = topic, outcome, field_of(reason, unreadable=bool(unreadable))
        before = found.get(key)
        found[key] = LetterKind(*key, records + (before.records if before else 0), before.reason if before else reason)
    return sorted(found.values(), key=lambda kind: -kind.records)


def read_minutes(connection: Connection, pins: tuple[int, ...], last_minute: int) -> dict[int, list[int]]:
    """Returns the events of each pin in the hour that ends with `last_minute` (seconds since 1970), minute by minute,
    the oldest first.
    """
    first = last_minute - (MINUTES - 1) * 60
    found = {pin: [0] * MINUTES for pin in pins}
    if pins:
        for pin, minute, events in connection.rows(
            "SELECT pin_id, toUnixTimestamp(minute), sum(events) FROM minutes_read"
            " WHERE hour >= toStartOfHour(toDateTime(%(first)s, 'UTC')) AND minute >= toDateTime(%(first)s, 'UTC')"
            " AND minute <= toDateTime(%(last)s, 'UTC') AND pin_id IN %(pins)s GROUP BY pin_id, minute",
            first=first,
            last=last_minute,
            pins=pins,
        ):
            found[pin][(minute - first) // 60] = events
    return found


def read_table_sizes(connection: Connection) -> list[TableSize]:
    """Returns the size of each table of the database."""
    return [TableSize(*row) for row in connection.rows(TABLES)]


def read_superseded(connection: Connection) -> dict[str, int]:
    """Returns the number of superseded rows that are not deleted yet, by table."""
    changed = connection.one("SELECT count() FROM ingest_starts WHERE epoch > 0")[0]
    return dict.fromkeys(MAY_BE_SUPERSEDED, 0) | dict(connection.rows(SUPERSEDED) if changed else ())
