"""The SQL of top pins: candidates from lists of heavy rows, sums of some pins, sums of all pins.

A list is what `hour_tops` has of one hour, or `tile_tops` of one bucket and ten minutes. A pin without a row in a list
has at most the counts of the list's row with `is_rest`, and none if the list has no such row. The statements are flat,
and none has a subquery that it names twice: to plan them is a large part of their cost.
"""

from typing import Final

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.per_action import COLUMNS, NAMES, each
from pintally.sinks.reads.known_rows import KnownRows, together

ROWS: Final = f"pin_id, {NAMES}"
SUMS: Final = each("sum({column}) AS {column}")
TOTAL: Final = " + ".join(COLUMNS)
PLACE: Final = "transform({list}, %(places)s, range(1, length(%(places)s) + 1), 0) AS place"


def rests(rows: KnownRows, by: Action | None) -> str:
    """Of each list that leaves pins out its number, and the highest count that it leaves out; one row of two arrays."""
    value = by.column if by else "events"
    lists = together(rows.lists(f"{{list}} AS list, {value} AS value", "is_rest AND events > 0"))
    return f"SELECT groupArray(list), groupArray(value) FROM ({lists})"


def candidates(rows: KnownRows, by: Action | None) -> str:
    """Each pin that has a row in a list or elsewhere, with bounds of its count; highest upper bound first.

    `places` and `rests` are what `rests` returned, `lists` is their number. Columns: pin, lower bound, upper bound,
    whether the counts are exact, then its counts in lists, then elsewhere. They are exact if the pin has a row in each
    list that leaves pins out.
    """
    listed, other, none = each("{column} AS l{number}"), each("{column} AS o{number}"), each("0 AS o{number}")
    lists = rows.lists(f"pin_id, {listed}, {none}, {PLACE}", "NOT is_rest")
    others = rows.others(f"pin_id, {each('0 AS l{number}')}, {other}, materialize(0) AS place")
    low = [by] if by else list(Action)
    return f"""
SELECT
    pin_id,
    {each("sum(l{number}) + sum(o{number})", " + ", low)} AS low,
    low + arraySum(%(rests)s) - sum(%(rests)s[place]) AS up,
    countIf(place > 0) = %(lists)s AS exact,
    {each("sum(l{number})")},
    {each("sum(o{number})")}
FROM ({together([*lists, *others])})
GROUP BY pin_id
ORDER BY up DESC, pin_id
LIMIT %(limit)s
"""


def of_pins(rows: KnownRows) -> str:
    """The sums of `pins` over the rows that lists are taken from."""
    return f"SELECT pin_id, {SUMS} FROM ({together(rows.listed(ROWS, 'pin_id IN %(pins)s'))}) GROUP BY pin_id"


def of_all(rows: KnownRows, by: Action | None) -> str:
    """The top pins, by adding up all pins."""
    counted = by.column if by else TOTAL
    return f"""
SELECT pin_id, {SUMS}
FROM ({together([*rows.listed(ROWS), *rows.others(ROWS)])})
GROUP BY pin_id
HAVING {counted} > 0
ORDER BY {counted} DESC, pin_id
LIMIT %(limit)s
"""
