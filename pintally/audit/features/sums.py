"""Sums of cells and of the tables of features by window, without their pins.

Each sum has a check sum over pins, modulo 2^64: events times a hash of pin and action, and trusted events times another
one. It adds up as counts do. So cells and rows that say the same of every pin have the same check sum, however they are
divided, and ClickHouse needs no memory for pins.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import COLUMNS, KINDS, MEASURES

TEN = "toUInt32(intDiv(toUInt32(minute), 600) * 600)"
NAMED = ", ".join(f"sum({name}) AS n_{name}" for name in MEASURES)
OF_ROW = (
    "{column}{days} * cityHash64(pin_id, toUInt8({number}))"
    " + trusted_{column}{days} * cityHash64(toUInt8({number}), pin_id)"
)


def print_of(days: str = "") -> str:
    """The check sum of rows. `days`: the ending of their columns."""
    return f"sum({' + '.join(OF_ROW.format(column=name, number=number, days=days) for number, _, name in KINDS)})"


PRINT = f"{print_of()} AS print"
WITHIN = "window_start >= toDateTime({first:UInt32}, 'UTC') AND window_start < toDateTime({end:UInt32}, 'UTC')"

CELLS = f"""
SELECT {TEN} AS window, toUInt32(arrived_at) AS arrived,
    {", ".join(f"sumIf(events, action = {number}) AS n_{name}" for number, _, name in KINDS)},
    {", ".join(f"sumIf(trusted, action = {number}) AS n_trusted_{name}" for number, _, name in KINDS)},
    sum(events * cityHash64(pin_id, action) + trusted * cityHash64(action, pin_id)) AS print
FROM pin_minutes FINAL
WHERE hour >= toDateTime({{first:UInt32}}, 'UTC') AND hour < toDateTime({{end:UInt32}}, 'UTC')
    AND arrived_at < toDateTime({{cut:UInt32}}, 'UTC')
GROUP BY window, arrived"""
TILES = f"""
SELECT toUInt32(window_start) AS window, toUInt32(arrived_at) AS arrived, seal, count() AS rows, {NAMED}, {PRINT}
FROM pin_tiles WHERE {WITHIN} GROUP BY window, arrived, seal"""
CORRECTIONS = f"""
SELECT toUInt32(window_start) AS window, toUInt32(known_from) AS known, seal, count() AS rows, {NAMED}, {PRINT}
FROM pin_corrections WHERE {WITHIN} GROUP BY window, known, seal"""
HOURS = f"""
SELECT toUInt32(window_start) AS window, seal, count() AS rows, {NAMED}, {PRINT}
FROM pin_hours_by_pin WHERE {WITHIN} GROUP BY window, seal"""
BUCKETS = f"""
SELECT toUInt32({{bucket}}) AS bucket, seal, count() AS rows, {NAMED}, {PRINT}
FROM {{table}} WHERE {WITHIN.replace("{", "{{").replace("}", "}}")} GROUP BY bucket, seal"""
BUCKET_OF = {"pin_tiles": "arrived_at", "pin_corrections": "known_from - INTERVAL 10 MINUTE"}
BASE = """
SELECT seal, count() AS rows, {sums}
FROM pin_base WHERE day = toDateTime({{day:UInt32}}, 'UTC') GROUP BY seal"""
DAYS = ("7d", "30d")


class Sums(NamedTuple):
    """Counts, as MEASURES names them, and the check sum of their pins."""

    counts: tuple[int, ...]
    print: int

    @property
    def events(self) -> int:
        """Those of all actions."""
        return sum(self.counts[: len(COLUMNS)])

    def __add__(self, other: "Sums") -> "Sums":  # type: ignore[override]
        counts = tuple(one + two for one, two in zip(self.counts, other.counts, strict=True))
        return Sums(counts, (self.print + other.print) % (1 << 64))


NOTHING = Sums(tuple(0 for _ in MEASURES), 0)


class Rows(NamedTuple):
    """How many rows a table has, and their sums."""

    rows: int
    sums: Sums


NO_ROWS = Rows(0, NOTHING)


@dataclass(slots=True)
class Day:
    """The sums of one day of event time; times in seconds since 1970."""

    cells: dict[tuple[int, int], Sums] = field(default_factory=dict)  # ten minutes, arrival bucket
    tiles: dict[tuple[int, int, int], Rows] = field(default_factory=dict)  # the same, seal
    corrections: dict[tuple[int, int, int], Rows] = field(default_factory=dict)  # hour, known_from, seal
    hours: dict[tuple[int, int], Rows] = field(default_factory=dict)  # hour, seal


def read_day(clickhouse: ClickHouse, first: int, end: int, cut: int) -> Day:
    """Read the windows in [first, end) and the cells that are known at a cut."""
    where = {"first": first, "end": end}
    return Day(
        {(row["window"], row["arrived"]): _sums(row) for row in clickhouse.rows(CELLS, **where, cut=cut)},
        {(row["window"], row["arrived"], row["seal"]): _rows(row) for row in clickhouse.rows(TILES, **where)},
        {(row["window"], row["known"], row["seal"]): _rows(row) for row in clickhouse.rows(CORRECTIONS, **where)},
        read_hours(clickhouse, first, end),
    )


def read_hours(clickhouse: ClickHouse, first: int, end: int) -> dict[tuple[int, int], Rows]:
    """Read the complete hours in [first, end), by hour and seal."""
    return {(row["window"], row["seal"]): _rows(row) for row in clickhouse.rows(HOURS, first=first, end=end)}


def read_buckets(clickhouse: ClickHouse, table: str, first: int, end: int) -> dict[tuple[int, int], Rows]:
    """Read the rows of one table whose windows are in [first, end), by arrival bucket and seal."""
    sql = BUCKETS.format(bucket=BUCKET_OF[table], table=table)
    return {(row["bucket"], row["seal"]): _rows(row) for row in clickhouse.rows(sql, first=first, end=end)}


def read_base(clickhouse: ClickHouse, day: int) -> dict[int, dict[str, Rows]]:
    """Read the base of a day: by seal, of 7 days and of 30."""
    sums = ", ".join(
        [f"sum({name}_{days}) AS n_{name}_{days}" for days in DAYS for name in MEASURES]
        + [f"{print_of(f'_{days}')} AS print_{days}" for days in DAYS]
    )
    return {
        row["seal"]: {
            days: Rows(row["rows"], Sums(tuple(row[f"n_{name}_{days}"] for name in MEASURES), row[f"print_{days}"]))
            for days in DAYS
        }
        for row in clickhouse.rows(BASE.format(sums=sums), day=day)
    }


def _sums(row: dict[str, int]) -> Sums:
    return Sums(tuple(row[f"n_{name}"] for name in MEASURES), row["print"])


def _rows(row: dict[str, int]) -> Rows:
    return Rows(row["rows"], _sums(row))
