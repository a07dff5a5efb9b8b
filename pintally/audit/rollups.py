"""Sealed hours and days against the minutes they sum up, pin by pin, in ClickHouse.

The row of `sealed` with the highest seal number holds for a window, unless it is open. `sealed` is read before the
roll-ups, because sealing writes them in the other order. A difference counts only if it is still there after everything
was read again, because a window may be sealed again between two reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import COLUMNS, KINDS
from pintally.audit.findings import Finding, Kind
from pintally.audit.looks import lasting
from pintally.audit.tables import kept_days, server_time
from pintally.audit.words import utc

TABLES = {"hour": ("pin_hours", "hour", 3600), "day": ("pin_days", "toStartOfDay(hour)", 86_400)}
DAY = 86_400

NAMES = ", ".join(COLUMNS)
SEALED = f"""
SELECT resolution, toUInt32(window_start) AS window, seal, pins, {NAMES}
FROM sealed FINAL WHERE NOT is_open AND window_start >= toDateTime({{oldest:UInt32}}, 'UTC')
ORDER BY resolution, window"""
DIFFERENCES = """
SELECT toUInt32(window_start) AS window, pin_id, {columns}
FROM
(
    SELECT {window} AS window_start, pin_id, {sums}, {zeros}, 0 AS r_rows
    FROM pin_minutes FINAL
    WHERE hour >= toDateTime({{first:UInt32}}, 'UTC') AND hour < toDateTime({{end:UInt32}}, 'UTC')
        AND has({{windows:Array(UInt32)}}, toUInt32({window}))
    GROUP BY window_start, pin_id
    UNION ALL
    SELECT window_start, pin_id, {no_minutes}, {names}, 1
    FROM {table}
    WHERE window_start >= toDateTime({{first:UInt32}}, 'UTC') AND window_start < toDateTime({{end:UInt32}}, 'UTC')
        AND has({{seals:Array(Tuple(UInt32, UInt64))}}, (toUInt32(window_start), seal))
)
GROUP BY window_start, pin_id
HAVING {having}
ORDER BY window_start, pin_id"""


@dataclass(frozen=True, slots=True)
class Window:
    """A sealed window, and the totals in its row of `sealed`."""

    resolution: str
    start: int  # seconds since 1970
    seal: int
    totals: tuple[int, ...]  # pins, then events of each action


def check_rollups(clickhouse: ClickHouse, since: int) -> list[Finding]:
    """Compare every sealed window from `since` (seconds) on whose minutes are still kept, pin by pin."""
    return lasting(lambda: _look(clickhouse, since))


def count_sealed(clickhouse: ClickHouse, since: int) -> int:
    """Returns how many windows `check_rollups` compares."""
    return len(_sealed(clickhouse, since))


def _look(clickhouse: ClickHouse, since: int) -> Iterator[Finding]:
    days: dict[tuple[str, int], list[Window]] = {}
    for window in _sealed(clickhouse, since):
        days.setdefault((window.resolution, window.start // DAY), []).append(window)
    for (resolution, day), windows in days.items():
        yield from _look_at(clickhouse, resolution, day * DAY, windows)
    yield from _unnamed(clickhouse, _oldest(clickhouse, since))


UNNAMED = """
SELECT {resolution:String} AS resolution, toUInt32(start) AS window, sum(events) AS events
FROM
(
    SELECT if({resolution:String} = 'hour', hour, toStartOfDay(hour)) AS start, events
    FROM pin_minutes FINAL WHERE hour >= toDateTime({oldest:UInt32}, 'UTC')
)
WHERE start < (SELECT max(window_start) FROM sealed FINAL WHERE resolution = {resolution:String} AND NOT is_open)
    AND start NOT IN (SELECT window_start FROM sealed FINAL WHERE resolution = {resolution:String})
GROUP BY start
HAVING events > 0
ORDER BY start"""


def _unnamed(clickhouse: ClickHouse, oldest: int) -> Iterator[Finding]:
    """Yields windows before the last sealed one that have no row in `sealed`: readers see no counts of them."""
    for resolution in TABLES:
        for row in clickhouse.rows(UNNAMED, resolution=resolution, oldest=oldest):
            about = f"{resolution} is not named"
            yield Finding(Kind.ROLLUP_DIFFERS, "sealed", 0, row["events"], about, minute=utc(row["window"]))


def _sealed(clickhouse: ClickHouse, since: int) -> list[Window]:
    return [
        Window(row["resolution"], row["window"], row["seal"], tuple(row[name] for name in ("pins", *COLUMNS)))
        for row in clickhouse.rows(SEALED, oldest=_oldest(clickhouse, since))
    ]


def _oldest(clickhouse: ClickHouse, since: int) -> int:
    """Returns the start (seconds) of the first day whose minutes are all kept."""
    kept = kept_days(clickhouse, "pin_minutes")
    return max(0, since if kept is None else max(since, (server_time(clickhouse) // DAY - kept + 2) * DAY))


def _look_at(clickhouse: ClickHouse, resolution: str, first: int, windows: list[Window]) -> Iterator[Finding]:
    table, window, _ = TABLES[resolution]
    columns = ", ".join(f"sum({name}) AS m_{name}, sum(r_{name}) AS n_{name}" for name in COLUMNS)
    having = " OR ".join(f"m_{name} != n_{name}" for name in COLUMNS) + " OR sum(r_rows) > 1"
    rows = clickhouse.rows(
        DIFFERENCES.format(
            columns=columns,
            window=window,
            table=table,
            having=having,
            sums=", ".join(f"sumIf(events, action = {number}) AS {name}" for number, _, name in KINDS),
            zeros=", ".join(f"0 AS r_{name}" for name in COLUMNS),
            no_minutes=", ".join("0" for _ in COLUMNS),
            names=NAMES,
        ),
        first=first,
        end=first + DAY,
        windows=[window.start for window in windows],
        seals=[(window.start, window.seal) for window in windows],
    )
    for row in rows:
        differing = [name for name in COLUMNS if row[f"m_{name}"] != row[f"n_{name}"]]
        for name in differing or ["rows"]:
            found, expected = (row[f"n_{name}"], row[f"m_{name}"]) if differing else (2, 1)
            yield Finding(
                Kind.ROLLUP_DIFFERS, table, found, expected, name, minute=utc(row["window"]), pin=row["pin_id"]
            )
    yield from _totals(clickhouse, table, first, windows)


TOTALS = """
SELECT toUInt32(window_start) AS window, count() AS pins, {sums}
FROM {table}
WHERE window_start >= toDateTime({{first:UInt32}}, 'UTC') AND window_start < toDateTime({{end:UInt32}}, 'UTC')
    AND has({{seals:Array(Tuple(UInt32, UInt64))}}, (toUInt32(window_start), seal))
GROUP BY window_start"""


def _totals(clickhouse: ClickHouse, table: str, first: int, windows: list[Window]) -> Iterator[Finding]:
    """Compares the totals in `sealed` with the roll-up."""
    seals = [(window.start, window.seal) for window in windows]
    sums = ", ".join(f"sum({name}) AS {name}" for name in COLUMNS)
    rows = clickhouse.rows(TOTALS.format(table=table, sums=sums), first=first, end=first + DAY, seals=seals)
    summed = {row["window"]: tuple(row[name] for name in ("pins", *COLUMNS)) for row in rows}
    for window in windows:
        stated = summed.get(window.start, (0,) * (1 + len(COLUMNS)))
        for name, found, expected in zip(("pins", *COLUMNS), window.totals, stated, strict=True):
            if found != expected:
                yield Finding(
                    Kind.ROLLUP_DIFFERS,
                    "sealed",
                    found,
                    expected,
                    f"{window.resolution} {name}",
                    minute=utc(window.start),
                )
