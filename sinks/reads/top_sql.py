"""The SQL of top pins: candidates from lists of heavy rows, sums of some pins, sums of all pins.

A list is what `hour_tops` has of one hour, or `tile_tops` of one bucket and ten minutes. A pin without a row in a
list has at most the counts of the list's row with `is_rest`, and none if the list has no such row.
"""

from typing import Final

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.per_action import COLUMNS, each
from pintally.sinks.reads.known_rows import KnownRows, together

SUMS: Final = each("sum({column}) AS {column}")
TOTAL: Final = " + ".join(COLUMNS)


def candidates(rows: KnownRows, by: Action | None) -> str:
    """Each pin that has a row in a list or elsewhere, with bounds of its count; highest upper bound first.

    Columns: pin, lower bound, upper bound, highest count of a pin without a row, whether the counts are exact, then its
    counts in lists, then elsewhere. Counts are exact if the pin has a row in each list that leaves pins out.
    """
    lists = together(rows.lists())
    low = [by.column] if by else COLUMNS
    return f"""
WITH
(
    SELECT (groupArray(list), groupArray({by.column if by else "events"}), sum({by.column if by else "events"}))
    FROM ({lists})
    WHERE is_rest AND events > 0
) AS rests
SELECT
    pin_id,
    {" + ".join(f"sum(listed_{column}) + sum(other_{column})" for column in low)} AS low,
    low + rests.3 - sum(rests.2[place]) AS up,
    rests.3 AS unseen,
    countIf(place > 0) = length(rests.1) AS exact,
    {each("sum(listed_{column})")},
    {each("sum(other_{column})")}
FROM ({together([_in_lists(lists), *map(_elsewhere, rows.others())])})
GROUP BY pin_id
ORDER BY up DESC, pin_id
LIMIT %(limit)s
"""


def of_pins(rows: KnownRows) -> str:
    """The sums of `pins` over the rows that lists are taken from."""
    found = together(f"{select} AND pin_id IN %(pins)s" for select in rows.listed())
    return f"SELECT pin_id, {SUMS} FROM ({found}) GROUP BY pin_id"


def of_all(rows: KnownRows, by: Action | None) -> str:
    """The top pins, by adding up all pins."""
    counted = by.column if by else TOTAL
    return f"""
SELECT pin_id, {SUMS}
FROM ({together([*rows.listed(), *rows.others()])})
GROUP BY pin_id
HAVING {counted} > 0
ORDER BY {counted} DESC, pin_id
LIMIT %(limit)s
"""


def _in_lists(lists: str) -> str:
    place = "transform(list, rests.1, range(1, length(rests.1) + 1), 0) AS place"
    counts = f"{each('{column} AS listed_{column}')}, {each('0 AS other_{column}')}"
    return f"SELECT pin_id, {counts}, {place} FROM ({lists}) WHERE NOT is_rest"


def _elsewhere(select: str) -> str:
    counts = f"{each('0 AS listed_{column}')}, {each('{column} AS other_{column}')}"
    return f"SELECT pin_id, {counts}, 0 AS place FROM ({select})"
