"""Reads one cell, the windows that contain it, and one dead letter from ClickHouse."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import COLUMNS
from pintally.audit.flushed import POSITION_MASK

HOUR = 3600
DAY = 86_400
VIEWS = (("pin_engagement_1m", 60), ("pin_engagement_1h", HOUR), ("pin_engagement_1d", DAY))


@dataclass(frozen=True, slots=True)
class Stored:
    """The row of a cell in `pin_minutes`, newest version."""

    events: int
    position: int  # the row counts the records below this offset


@dataclass(frozen=True, slots=True)
class Window:
    """A row of a view; zeros where it has none."""

    view: str
    start: int  # seconds since 1970
    counts: dict[str, int]  # by the view's columns
    is_final: bool | None  # None: the view has no row


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of `dead_letters`."""

    topic: str
    topic_id: UUID
    partition: int
    offset: int
    outcome: str
    reason: str

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


def read_cell(
    clickhouse: ClickHouse, source: int, slice_: tuple[int, int], action: int, minute: int, pin: int
) -> Stored | None:
    """Returns the row of a cell; None if there is none. The slice is (slice_block, arrived_at)."""
    rows = clickhouse.rows(
        "SELECT events, version FROM pin_minutes FINAL"
        " WHERE source = {source:UInt64} AND slice_block = {slice_block:UInt32}"
        " AND arrived_at = toDateTime({arrived_at:UInt32}, 'UTC') AND action = {action:UInt8}"
        " AND minute = toDateTime({minute:UInt32}, 'UTC') AND pin_id = {pin:UInt64}",
        source=source,
        slice_block=slice_[0],
        arrived_at=slice_[1],
        action=action,
        minute=minute,
        pin=pin,
    )
    return Stored(rows[0]["events"], rows[0]["version"] & POSITION_MASK) if rows else None


def read_windows(clickhouse: ClickHouse, minute: int, pin: int) -> list[Window]:
    """Returns minute, hour and day of the pin, as readers see them."""
    found = []
    for view, length in VIEWS:
        start = minute // length * length
        rows = clickhouse.rows(
            f"SELECT {', '.join(COLUMNS)}, is_final FROM {view}"
            " WHERE window_start = toDateTime({start:UInt32}, 'UTC') AND pin_id = {pin:UInt64}",
            start=start,
            pin=pin,
        )
        row: dict[str, Any] = rows[0] if rows else {"is_final": None}
        found.append(Window(view, start, {name: row.get(name, 0) for name in COLUMNS}, row["is_final"]))
    return found


def read_letter(clickhouse: ClickHouse, topic: str, topic_id: UUID, partition: int, offset: int) -> Letter | None:
    """Returns the dead letter of a record, if there is one."""
    where = (
        "topic = {topic:String} AND topic_id = {topic_id:UUID} AND partition = {partition:UInt32}"
        " AND offset = {offset:UInt64}"
    )
    rows = _letters(clickhouse, where, topic=topic, topic_id=topic_id, partition=partition, offset=offset)
    return rows[0] if rows else None


def letters_of(clickhouse: ClickHouse, event_id: str) -> list[Letter]:
    """Returns the dead letters whose value is JSON with this event_id, in any case; a schema registry may frame it."""
    json = "substring(ifNull(value, ''), if(startsWith(ifNull(value, ''), char(0)), 6, 1))"
    where = f"lower(JSONExtractString({json}, 'event_id')) = {{event_id:String}}"
    return _letters(clickhouse, where, event_id=event_id.lower())


def _letters(clickhouse: ClickHouse, where: str, **parameters: object) -> list[Letter]:
    rows = clickhouse.rows(
        "SELECT topic, toString(topic_id) AS id, partition, offset, toString(outcome) AS what, reason"
        f" FROM dead_letters FINAL WHERE {where} ORDER BY topic, id, partition, offset, epoch DESC",
        **parameters,
    )
    return [
        Letter(row["topic"], UUID(row["id"]), row["partition"], row["offset"], row["what"], row["reason"])
        for row in rows
    ]
