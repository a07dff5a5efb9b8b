"""Windows of features that are not what their cells say, found by sums over days of event time, without pins.

Each sum has a check sum: counts times a hash of pin and action (and, in tiles, of the ten minutes), which adds up as
counts do. What is found here was done by other hands: rows, partitions or seals that were deleted, rows that were
written again, cells that were changed. A sealing that runs meanwhile may have a window opened once more than needed.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import OF_ACTION, OF_CELL, each, each_count
from pintally.sinks.clickhouse.sealing import base_rows
from pintally.sinks.clickhouse.sealing.cut_times import BUCKET, Cuts, read_cuts
from pintally.sinks.clickhouse.sealing.feature_seals import BASE, HOURS, KEPT, TILES, FeatureSeal, Name, read_seals
from pintally.sinks.clickhouse.sealing.reopen import DAY
from pintally.sinks.clickhouse.sealing.unequal_tops import unequal_tops

WITHIN = "window_start >= toDateTime(%(day)s, 'UTC') AND window_start < toDateTime(%(day)s + 86400, 'UTC')"
OF_HOUR = each(f"{OF_ACTION} * cityHash64(pin_id, toUInt8({{number}}))", " + ")
OF_TEN = each(f"{OF_ACTION} * cityHash64(pin_id, toUInt32(window_start), toUInt8({{number}}))", " + ")
TOTALS = f"count(), {each_count('sum({count})')}"
CELLS = f"""
SELECT toUnixTimestamp(arrived_at) AS arrived, toUnixTimestamp(hour) AS start,
    sum({OF_CELL} * cityHash64(pin_id, action)),
    sum({OF_CELL} * cityHash64(pin_id, toUInt32(toStartOfTenMinutes(minute)), action))
FROM pin_minutes FINAL
WHERE hour >= toDateTime(%(day)s, 'UTC') AND hour < toDateTime(%(day)s + 86400, 'UTC')
    AND arrived_at < toDateTime(%(newest)s, 'UTC')
GROUP BY arrived, start HAVING sum(events) > 0
"""
TILE_ROWS = f"""
SELECT toUnixTimestamp(arrived_at) AS arrived, toUnixTimestamp(toStartOfHour(window_start)) AS start, seal,
    sum({OF_TEN}), {TOTALS}
FROM pin_tiles WHERE {WITHIN} GROUP BY arrived, start, seal
"""
CORRECTION_ROWS = f"""
SELECT toUnixTimestamp(known_from) - {BUCKET} AS arrived, toUnixTimestamp(window_start) AS start, seal,
    sum({OF_HOUR}), {TOTALS}
FROM pin_corrections WHERE {WITHIN} GROUP BY arrived, start, seal
"""
HOUR_ROWS = f"""
SELECT toUnixTimestamp(window_start) AS start, seal, sum({OF_HOUR}), {TOTALS}
FROM pin_hours_by_pin WHERE {WITHIN} GROUP BY start, seal
"""
FIRST = "toStartOfDay(now('UTC')) - INTERVAL 88 DAY"  # rows of older days may have been dropped with age
BOUNDS = " UNION ALL ".join(
    f"SELECT count() AS n, toUnixTimestamp(min({window})), toUnixTimestamp(max({window})) FROM {table}"
    f" WHERE {window} >= {FIRST}"
    for table, window in (
        ("pin_minutes", "minute"),
        ("pin_tiles", "window_start"),
        ("pin_corrections", "window_start"),
        ("pin_hours_by_pin", "window_start"),
    )
)
Print = int  # a check sum, modulo 2^64
Totals = tuple[int, ...]  # rows, then counts of each action


@dataclass(slots=True)
class Day:
    """Check sums of one day of event time."""

    tiles: dict[tuple[int, int], Print] = field(default_factory=dict)  # arrival bucket, hour
    corrections: dict[tuple[int, int], Print] = field(default_factory=dict)
    hours: dict[int, Print] = field(default_factory=dict)


def unequal_features(connection: Connection) -> set[Name]:
    """The windows whose rows are not what their cells say, and those that have cells but no row in `feature_seals`."""
    cuts = read_cuts(connection)
    if not cuts.newest:
        return set()
    seals = {row.name: row for row in read_seals(connection, KEPT)}
    found: set[Name] = set()
    totals: dict[int, Totals] = {}
    for day in _days(connection):
        found.update(_unequal_of(connection, cuts, seals, day, totals))
        found.update(unequal_tops(connection, day))
    found.update(
        (TILES, bucket)
        for bucket, there in totals.items()
        if any(rows > stated for rows, stated in zip(there, _stated(seals[TILES, bucket]), strict=True))
    )
    found.update(_bases(connection, cuts, seals))
    return {name for name in found if name not in seals or not seals[name].is_open}


def _days(connection: Connection) -> range:
    bounds = [(first, last) for rows, first, last in connection.rows(BOUNDS) if rows]
    first, last = min((low for low, _ in bounds), default=0), max((high for _, high in bounds), default=-1)
    return range(first // DAY * DAY, last + 1, DAY)


def _unequal_of(
    connection: Connection, cuts: Cuts, seals: Mapping[Name, FeatureSeal], day: int, totals: dict[int, Totals]
) -> Iterator[Name]:
    needed = _needed(connection, cuts, day)
    there = _there(connection, seals, day, totals)
    first_until = cuts.steps[0][1]
    for of_cells, of_rows in ((needed.tiles, there.tiles), (needed.corrections, there.corrections)):
        for bucket, hour in of_cells.keys() | of_rows.keys():
            differs = of_cells.get((bucket, hour), 0) != of_rows.get((bucket, hour), 0) and bucket < cuts.newest
            is_read = (TILES, bucket) in seals or hour >= first_until or of_cells is needed.corrections
            if differs and is_read:
                yield TILES, bucket
    for hour in needed.hours.keys() | there.hours.keys():
        if needed.hours.get(hour, 0) != there.hours.get(hour, 0) and cuts.complete_at(hour) is not None:
            yield HOURS, hour


def _needed(connection: Connection, cuts: Cuts, day: int) -> Day:
    """What the cells say."""
    found, hours = Day(), defaultdict[int, Print](int)
    for bucket, hour, of_hour, of_ten in connection.rows(CELLS, day=day, newest=cuts.newest):
        if hour < cuts.hours_until_at(bucket):
            found.corrections[bucket, hour] = of_hour
            continue
        found.tiles[bucket, hour] = of_ten
        if hour < cuts.hours_until:
            hours[hour] = (hours[hour] + of_hour) % 2**64
    found.hours = dict(hours)
    return found


def _there(connection: Connection, seals: Mapping[Name, FeatureSeal], day: int, totals: dict[int, Totals]) -> Day:
    """What the rows that count say. Adds those of buckets to `totals`."""
    found = Day()
    for sql, prints in ((TILE_ROWS, found.tiles), (CORRECTION_ROWS, found.corrections)):
        for bucket, hour, seal, check_sum, *sums in connection.rows(sql, day=day):
            if _counts(seals, (TILES, bucket), seal):
                prints[bucket, hour] = check_sum
                before = totals.get(bucket, (0,) * len(sums))
                totals[bucket] = tuple(one + two for one, two in zip(before, sums, strict=True))
    for hour, seal, check_sum, *sums in connection.rows(HOUR_ROWS, day=day):
        if _counts(seals, (HOURS, hour), seal):
            row = seals[HOURS, hour]
            is_stated = (row.sums.check_sum, _stated(row)) == (check_sum, tuple(sums))
            found.hours[hour] = check_sum if is_stated else -1  # no check sum is negative
    return found


def _counts(seals: Mapping[Name, FeatureSeal], name: Name, seal: int) -> bool:
    return name in seals and seals[name].rows_seal == seal


def _stated(row: FeatureSeal) -> Totals:
    return (row.sums.pins, *row.sums.counts)


def _bases(connection: Connection, cuts: Cuts, seals: Mapping[Name, FeatureSeal]) -> Iterator[Name]:
    """Bases without a row, or whose rows are not what it says. `again` compares it with its hours in each pass."""
    (kept,) = connection.one(f"SELECT toUnixTimestamp({FIRST})")
    for day in range(max(kept, cuts.steps[0][1] // DAY * DAY), cuts.hours_until // DAY * DAY + 1, DAY):
        if (row := seals.get((BASE, day))) is None:
            yield BASE, day
        elif not row.is_open:
            *counts, check_sum, pins = connection.one(base_rows.ROWS, start=day, number=row.rows_seal)
            if (check_sum, pins, *counts) != (row.sums.check_sum, *_stated(row)):
                yield BASE, day
