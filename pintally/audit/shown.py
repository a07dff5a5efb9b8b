"""Reads one cell, the windows that contain it, and one dead letter from ClickHouse."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import COLUMNS, TRUSTED
from pintally.audit.flushed import POSITION_MASK
from pintally.audit.labels import DIGEST_SQL, digest

HOUR = 3600
DAY = 86_400
VIEWS = (("pin_engagement_1m", 60), ("pin_engagement_1h", HOUR), ("pin_engagement_1d", DAY))
BREAKDOWNS = (("pin_breakdown_1h", HOUR), ("pin_breakdown_1d", DAY))
IS_LABEL = f" AND dimension = {{dimension:String}} AND hex({DIGEST_SQL.format('label')}) = {{label:String}}"


@dataclass(frozen=True, slots=True)
class Stored:
    """The row of a cell, newest version."""

    events: int
    trusted: int
    position: int  # the row counts the records below this offset


@dataclass(frozen=True, slots=True)
class Window:
    """A row of a view; zeros where it has none."""

    view: str
    start: int  # seconds since 1970
    counts: dict[str, int]  # by the view's columns
    trusted: dict[str, int]  # by the same columns, without `trusted_`
    is_final: bool | None  # None: the view has no row
    dimension: str | None = None  # of a breakdown: surface or platform
    label: str | None = None


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
    clickhouse: ClickHouse,
    source: int,
    slice_: tuple[int, int],
    action: int,
    minute: int,
    pin: int,
    labels: tuple[str, str],
) -> Stored | None:
    """Returns the row of a cell; None if there is none.

    The slice is (slice_block, arrived_at), the labels are surface and platform.
    """
    where = (
        "action = {action:UInt8} AND minute = toDateTime({minute:UInt32}, 'UTC') AND pin_id = {pin:UInt64}"
        f" AND hex({DIGEST_SQL.format('surface')}) = {{surface:String}}"
        f" AND hex({DIGEST_SQL.format('platform')}) = {{platform:String}}"
    )
    surface, platform = (digest(label).hex().upper() for label in labels)
    return row_of(
        clickhouse,
        "pin_minutes",
        where,
        source,
        slice_,
        action=action,
        minute=minute,
        pin=pin,
        surface=surface,
        platform=platform,
    )


def row_of(
    clickhouse: ClickHouse,
    table: str,
    where: str,
    source: int,
    slice_: tuple[int, int],
    trusted: str = "trusted",
    **key: int | str,
) -> Stored | None:
    """The row of a table of cells whose `key` meets a condition; None if there is none.

    `trusted` is the column that counts trusted events.
    """
    rows = clickhouse.rows(
        f"SELECT events, {trusted} AS of_trusted, version FROM {table} FINAL"
        " WHERE source = {source:UInt64} AND slice_block = {slice_block:UInt32}"
        " AND arrived_at = toDateTime({arrived_at:UInt32}, 'UTC') AND " + where,
        source=source,
        slice_block=slice_[0],
        arrived_at=slice_[1],
        **key,
    )
    return Stored(rows[0]["events"], rows[0]["of_trusted"], rows[0]["version"] & POSITION_MASK) if rows else None


def compared_below(end: int, stored: Stored | None) -> int:
    """The offset below which a recount of a slice that ends at `end` is compared with a row of it."""
    return end if stored is None else min(stored.position, end)


def read_windows(clickhouse: ClickHouse, minute: int, pin: int) -> list[Window]:
    """Returns minute, hour and day of the pin, as readers see them."""
    return [_read(clickhouse, view, minute // length * length, pin) for view, length in VIEWS]


def read_breakdowns(clickhouse: ClickHouse, minute: int, pin: int, surface: str, platform: str) -> list[Window]:
    """Returns hour and day of the pin on a surface, then on a platform, as readers see them."""
    return [
        _read(clickhouse, view, minute // length * length, pin, (dimension, label))
        for dimension, label in (("surface", surface), ("platform", platform))
        for view, length in BREAKDOWNS
    ]


def _read(clickhouse: ClickHouse, view: str, start: int, pin: int, by: tuple[str, str] | None = None) -> Window:
    labelled = {"dimension": by[0], "label": digest(by[1]).hex().upper()} if by else {}
    rows = clickhouse.rows(
        f"SELECT {', '.join((*COLUMNS, *TRUSTED))}, is_final FROM {view}"
        f" WHERE window_start = toDateTime({{start:UInt32}}, 'UTC') AND pin_id = {{pin:UInt64}}"
        + (IS_LABEL if by else ""),
        start=start,
        pin=pin,
        **labelled,
    )
    row: dict[str, Any] = rows[0] if rows else {"is_final": None}
    counts, trusted = ({name: row.get(prefix + name, 0) for name in COLUMNS} for prefix in ("", "trusted_"))
    return Window(view, start, counts, trusted, row["is_final"], *(by or ()))


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
