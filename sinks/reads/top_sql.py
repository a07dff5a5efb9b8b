"""The SQL of top pins: candidates from lists of heavy rows, sums of some pins, sums of all pins.

A list is what `hour_tops` has of one hour, or `tile_tops` of one bucket and ten minutes. A pin without a row in a list
has at most the counts of the list's row with `is_rest`, and none if the list has no such row. The statements are flat,
and none has a subquery that it names twice: to plan them is a large part of their cost.
"""

from collections.abc import Collection
from typing import Final

from pintally.sinks.clickhouse.per_action import COUNTS, each_count
from pintally.sinks.reads.known_rows import KnownRows, together
from pintally.sinks.reads.ranking import Ranking

ROWS: Final = f"pin_id, {COUNTS}"
SUMS: Final = each_count("sum({count}) AS {count}")
PLACE: Final = "transform({list}, %(places)s, range(1, length(%(places)s) + 1), 0) AS place"
OF_HOURS, OF_TILES, OF_OTHERS = range(3)  # kinds of rows


def rests(rows: KnownRows, by: Ranking) -> str:
    """Of each list that leaves pins out its number, and the highest count that it leaves out; one row of two arrays."""
    lists = together(rows.lists(f"{{list}} AS list, {by.column} AS value", "is_rest AND events > 0"))
    return f"SELECT groupArray(list), groupArray(value) FROM ({lists})"


def candidates(rows: KnownRows, by: Ranking) -> str:
    """Each pin that has a row in a list or elsewhere, with bounds of its count; highest upper bound first.

    `places` and `rests` are what `rests` returned, `hour_lists` and `tile_lists` are how many of each kind. Columns:
    pin, lower bound, upper bound; whether its counts in hours are exact, and those in tiles; then its counts in lists
    of hours, in lists of tiles, and elsewhere. They are exact if the pin has a row in each list that leaves pins out.
    """
    lists = rows.lists(f"{ROWS}, {{kind}} AS kind, {PLACE}", "NOT is_rest")
    others = rows.others(f"{ROWS}, {OF_OTHERS} AS kind, materialize(0) AS place")
    kinds = {OF_HOURS: rows.hours("pin_id"), OF_TILES: rows.tiles("pin_id"), OF_OTHERS: others}
    counts = (_counts(kind) if there else each_count("toUInt64(0)") for kind, there in kinds.items())
    return f"""
SELECT
    pin_id,
    sum({by.sql}) AS low,
    low + arraySum(%(rests)s) - sum(%(rests)s[place]) AS up,
    countIf(place > 0 AND kind = {OF_HOURS}) = %(hour_lists)s,
    countIf(place > 0 AND kind = {OF_TILES}) = %(tile_lists)s,
    {", ".join(counts)}
FROM ({together([*lists, *others])})
GROUP BY pin_id
ORDER BY up DESC, pin_id
LIMIT %(limit)s
"""


def _counts(kind: int) -> str:
    return each_count(f"sumIf({{count}}, kind = {kind})")


def of_pins(rows: KnownRows, in_hours: Collection[int], in_tiles: Collection[int]) -> str:
    """The sums of some pins over the rows that lists are taken from: pin, kind of rows, counts.

    `in_hours` are the pins that are looked for in hours, `in_tiles` those in tiles.
    """
    found = [
        *(rows.hours(f"{ROWS}, {OF_HOURS} AS kind", _one_of(in_hours)) if in_hours else ()),
        *(rows.tiles(f"{ROWS}, {OF_TILES} AS kind", _one_of(in_tiles)) if in_tiles else ()),
    ]
    return f"SELECT pin_id, kind, {SUMS} FROM ({together(found)}) GROUP BY pin_id, kind"


def _one_of(pins: Collection[int]) -> str:
    return f"pin_id IN ({', '.join(map(str, pins))})"


def of_all(rows: KnownRows, by: Ranking) -> str:
    """The top pins, by adding up all pins."""
    return f"""
SELECT pin_id, {SUMS}
FROM ({together([*rows.hours(ROWS), *rows.tiles(ROWS), *rows.others(ROWS)])})
GROUP BY pin_id
HAVING {by.sql} > 0
ORDER BY {by.sql} DESC, pin_id
LIMIT %(limit)s
"""
