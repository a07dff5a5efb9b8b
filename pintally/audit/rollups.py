"""Sealed hours and days against the minutes they sum up, pin by pin, in ClickHouse; then by surface and by platform.
Of hours also arms of experiments, bucket by bucket.

The row of `sealed` with the highest seal number holds for a window, unless it is open. `sealed` is read before the
roll-ups, because sealing writes them in the other order. A difference counts only if it is still there after everything
was read again, because a window may be sealed again between two reads.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import KINDS, MEASURES
from pintally.audit.findings import Finding, Kind
from pintally.audit.kept import read_kept
from pintally.audit.looks import lasting
from pintally.audit.sealed_totals import DAY, Window, check_totals, read_sealed
from pintally.audit.words import utc

TABLES = {"hour": ("pin_hours", "hour"), "day": ("pin_days", "toStartOfDay(hour)")}
ARMS = "experiment_hours"
BREAKDOWNS = {"hour": "pin_hour_breakdowns", "day": "pin_day_breakdowns"}
COLUMNS_OF = {  # parts of DIFFERENCES
    "names": ", ".join(MEASURES),
    "zeros": ", ".join(f"0 AS r_{name}" for name in MEASURES),
    "no_minutes": ", ".join("0" for _ in MEASURES),
    "compared": ", ".join(f"sum({name}) AS m_{name}, sum(r_{name}) AS n_{name}" for name in MEASURES),
    "differs": " OR ".join(f"m_{name} != n_{name}" for name in MEASURES) + " OR sum(r_rows) > 1",
    "sums": ", ".join(
        f"sumIf({counts}, action = {number}) AS {prefix}{column}"
        for counts, prefix in (("events", ""), ("trusted", "trusted_"))
        for number, _, column in KINDS
    ),
}

DIFFERENCES = """
SELECT toUInt32(window_start) AS window, pin_id{keys}, {compared}
FROM
(
    SELECT {window} AS window_start, pin_id{keys}, {sums}, {zeros}, 0 AS r_rows
    FROM pin_minutes FINAL {joined}
    WHERE hour >= toDateTime({{first:UInt32}}, 'UTC') AND hour < toDateTime({{end:UInt32}}, 'UTC')
        AND has({{windows:Array(UInt32)}}, toUInt32({window}))
    GROUP BY window_start, pin_id{keys}
    UNION ALL
    SELECT window_start, pin_id{told}, {no_minutes}, {names}, 1
    FROM {table}
    WHERE window_start >= toDateTime({{first:UInt32}}, 'UTC') AND window_start < toDateTime({{end:UInt32}}, 'UTC')
        AND has({{seals:Array(Tuple(UInt32, UInt64))}}, (toUInt32(window_start), seal))
)
GROUP BY window_start, pin_id{keys}
HAVING {differs}
ORDER BY window_start, pin_id{keys}"""
ARMS_DIFFER = """
SELECT toUInt32(window_start) AS window, experiment, arm, bucket, {compared}
FROM
(
    SELECT hour AS window_start, experiment, arm, bucket, {sums}, {zeros}, 0 AS r_rows
    FROM experiment_cells FINAL
    WHERE hour >= toDateTime({{first:UInt32}}, 'UTC') AND hour < toDateTime({{end:UInt32}}, 'UTC')
        AND has({{windows:Array(UInt32)}}, toUInt32(hour))
    GROUP BY window_start, experiment, arm, bucket
    UNION ALL
    SELECT window_start, experiment, arm, bucket, {no_minutes}, {names}, 1
    FROM experiment_hours
    WHERE window_start >= toDateTime({{first:UInt32}}, 'UTC') AND window_start < toDateTime({{end:UInt32}}, 'UTC')
        AND has({{seals:Array(Tuple(UInt32, UInt64))}}, (toUInt32(window_start), seal))
)
GROUP BY window_start, experiment, arm, bucket
HAVING {differs}
ORDER BY window_start, experiment, arm, bucket""".format(**COLUMNS_OF)
# Of windows that are said to have no labels: events that have one.
LABELLED = """
SELECT toUInt32({window}) AS window, sum(events) AS events
FROM pin_minutes FINAL
WHERE hour >= toDateTime({{first:UInt32}}, 'UTC') AND hour < toDateTime({{end:UInt32}}, 'UTC')
    AND has({{windows:Array(UInt32)}}, toUInt32({window})) AND (surface != 'unknown' OR platform != 'unknown')
GROUP BY window
HAVING events > 0"""
BY_LABEL = {
    "keys": ", dimension, label",
    "told": ", toString(dimension), toString(label)",
    "joined": "ARRAY JOIN ['surface', 'platform'] AS dimension, [toString(surface), toString(platform)] AS label",
}
BY_PIN = dict.fromkeys(BY_LABEL, "")


def check_rollups(clickhouse: ClickHouse, since: int) -> list[Finding]:
    """Compare every sealed window from `since` (seconds) on whose minutes are still kept, pin by pin."""
    return lasting(lambda: _look(clickhouse, since))


def count_sealed(clickhouse: ClickHouse, since: int) -> int:
    """Returns how many windows `check_rollups` compares."""
    return len(read_sealed(clickhouse, _oldest(clickhouse, since)))


def _look(clickhouse: ClickHouse, since: int) -> Iterator[Finding]:
    days: dict[tuple[str, int], list[Window]] = {}
    for window in read_sealed(clickhouse, _oldest(clickhouse, since)):
        days.setdefault((window.resolution, window.start // DAY), []).append(window)
    for (resolution, day), windows in days.items():
        yield from _look_at(clickhouse, resolution, day * DAY, windows)
    yield from _unnamed(clickhouse, _oldest(clickhouse, since))


UNNAMED = """
SELECT {resolution:String} AS resolution, toUInt32(start) AS window, argMin(counted, of_arms OR counted = 0) AS events
FROM
(
    SELECT if({resolution:String} = 'hour', hour, toStartOfDay(hour)) AS start, sum(events) AS counted, false AS of_arms
    FROM pin_minutes FINAL WHERE hour >= toDateTime({oldest:UInt32}, 'UTC')
    GROUP BY start
    UNION ALL
    SELECT hour AS start, sum(events) AS counted, true AS of_arms
    FROM experiment_cells FINAL
    WHERE hour >= toDateTime({oldest:UInt32}, 'UTC') AND {resolution:String} = 'hour'
    GROUP BY start
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


def _oldest(clickhouse: ClickHouse, since: int) -> int:
    """Returns the start (seconds) of the first day whose minutes are all kept."""
    return max(0, since, read_kept(clickhouse, "pin_minutes").whole_days_since)


def _look_at(clickhouse: ClickHouse, resolution: str, first: int, windows: list[Window]) -> Iterator[Finding]:
    table, window = TABLES[resolution]
    labelled = [each for each in windows if each.has_labels]
    for name, parts, some in ((table, BY_PIN, windows), (BREAKDOWNS[resolution], BY_LABEL, labelled)):
        sql = DIFFERENCES.format(window=window, table=name, **parts, **COLUMNS_OF)
        for row in clickhouse.rows(sql, **_named(first, some)):
            yield from _differing(name, row)
    if plain := [each for each in windows if not each.has_labels]:
        for row in clickhouse.rows(LABELLED.format(window=window), **_named(first, plain)):
            yield Finding(
                Kind.ROLLUP_DIFFERS, BREAKDOWNS[resolution], 0, row["events"], "labels", minute=utc(row["window"])
            )
    arms = (ARMS,) if resolution == "hour" else ()
    for row in clickhouse.rows(ARMS_DIFFER, **_named(first, windows)) if arms else ():
        yield from _differing(ARMS, row)
    yield from check_totals(clickhouse, (table, BREAKDOWNS[resolution], *arms), first, windows)


def _named(first: int, windows: list[Window]) -> dict[str, Any]:
    """Parameters of what compares these windows of one day."""
    seals = [(each.start, each.seal) for each in windows]
    return {"first": first, "end": first + DAY, "windows": [each.start for each in windows], "seals": seals}


def _differing(table: str, row: dict[str, Any]) -> Iterator[Finding]:
    """Yields what differs in a row of DIFFERENCES."""
    labels = {row["dimension"]: row["label"]} if "label" in row else {}
    labels |= {name: row[name] for name in ("experiment", "arm", "bucket") if name in row}
    differing = [name for name in MEASURES if row[f"m_{name}"] != row[f"n_{name}"]]
    for name in differing or ["rows"]:
        found, expected = (row[f"n_{name}"], row[f"m_{name}"]) if differing else (2, 1)
        about = Finding(Kind.ROLLUP_DIFFERS, table, found, expected, name, **labels)
        yield replace(about, minute=utc(row["window"]), pin=row.get("pin_id"))
