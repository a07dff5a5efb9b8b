"""The SQL of roll-ups: rows of an hour and of a day, and their sums (C23).

A window of which no cell names a surface or a platform is plain: it has no rows of breakdowns, and 0 as their check
sum. Then an hour is grouped once, by pin. Readers of breakdowns take a plain hour from its cells, and a plain day from
`pin_days`.

Breakdowns have a check sum instead of sums by label: it adds up, for each cell, a hash of its pin, action and label,
times its counts. So it needs no grouping, and rows that are sums of the same cells have the same. That of a day is the
sum of those of its hours.
"""

from typing import Final

from pintally.schemas.dimensions import Dimension
from pintally.schemas.label_column import UNKNOWN
from pintally.sinks.clickhouse.per_action import COUNTED, COUNTS, OF_ACTION, OF_CELL, OF_CELLS, TOTAL, each, each_count
from pintally.sinks.clickhouse.sealing import experiment_rows

OF_PINS: Final = ("pins", *COUNTED, "breakdown_sum")
SUMMED: Final = (*OF_PINS, "experiment_sum")  # the last is of `experiment_rows`
Sums = tuple[int, ...]  # of the rows of a window, as SUMMED names them. Windows with equal sums are taken for equal
NOTHING: Final[Sums] = (0,) * len(SUMMED)

_START: Final = "window_start = toDateTime(%(start)s, 'UTC')"
_WITHIN: Final = "{0} >= toDateTime(%(start)s, 'UTC') AND {0} < toDateTime(%(end)s, 'UTC')"
_OF_WINDOW: Final = f"{_START} AND seal = %(number)s"


def _hash(action: str, dimension: str, label: str) -> str:
    return f"cityHash64(pin_id, {action}, cityHash64({dimension}, {label}))"


_OF_LABELS: Final = " + ".join(_hash("action", f"toUInt8({each.value})", each.column) for each in Dimension)
CELLS_SUM: Final = f"sum(({_OF_LABELS}) * {OF_CELL})"  # of cells
_OF_ROW: Final = f"{_hash('toUInt8({number})', 'toUInt8(dimension)', 'label')} * {OF_ACTION}"
ROWS_SUM: Final = f"sum({each(_OF_ROW, ' + ')})"  # of rows of breakdowns

ADDED: Final = each_count("sum(r.{count}) AS {count}")
SOME: Final = f"{TOTAL} > 0"


def _labels_of_hour(of: Dimension) -> str:
    """A statement for each dimension: to group by both and then by either costs ClickHouse half as much again."""
    return f"""INSERT INTO pin_hour_breakdowns (window_start, pin_id, dimension, label, {COUNTS}, updated_at, seal)
SELECT toDateTime(%(start)s, 'UTC'), pin_id, {of.value}, {of.column}, {OF_CELLS}, max(m.updated_at), %(number)s
FROM pin_minutes AS m FINAL
WHERE {_WITHIN.format("hour")}
GROUP BY pin_id, {of.column}
HAVING {SOME}
"""


# Of any version of a cell, so that it costs no merge: a cell keeps its labels in all of its versions.
NAMES_LABELS: Final = f"(surface != '{UNKNOWN}' OR platform != '{UNKNOWN}')"
HAS_LABELS: Final = f"""
SELECT count() FROM (SELECT 1 FROM pin_minutes WHERE {_WITHIN.format("hour")} AND {NAMES_LABELS} LIMIT 1)
"""
PLAIN_HOUR: Final = (
    f"""INSERT INTO pin_hours (window_start, pin_id, {COUNTS}, updated_at, seal)
SELECT toDateTime(%(start)s, 'UTC'), pin_id, {OF_CELLS}, max(m.updated_at), %(number)s
FROM pin_minutes AS m FINAL
WHERE {_WITHIN.format("hour")}
GROUP BY pin_id
HAVING {SOME}
""",
)
# The labels of one dimension add up to the hour, so that it need not read cells.
HOUR: Final = (
    *map(_labels_of_hour, Dimension),
    f"""INSERT INTO pin_hours (window_start, pin_id, {COUNTS}, updated_at, seal)
SELECT toDateTime(%(start)s, 'UTC'), pin_id, {ADDED}, max(r.updated_at), %(number)s
FROM pin_hour_breakdowns AS r
WHERE {_OF_WINDOW} AND dimension = '{Dimension.SURFACE.column}'
GROUP BY pin_id
""",
)
_HOURS: Final = f"{_WITHIN.format('window_start')} AND seal IN %(seals)s"
# Of plain hours all counts are of unknown.
_PLAIN_SEALS: Final = f"""SELECT seal FROM sealed FINAL
    WHERE resolution = 'hour' AND {_WITHIN.format("window_start")} AND breakdown_sum = 0"""
_DIMENSIONS: Final = f"[{', '.join(str(each.value) for each in Dimension)}]"
_LABELS_OF_DAY: Final = f"""
INSERT INTO pin_day_breakdowns (window_start, pin_id, dimension, label, {COUNTS}, updated_at, seal)
SELECT toDateTime(%(start)s, 'UTC'), pin_id, of, label, {ADDED}, max(r.updated_at), %(number)s
FROM
(
    SELECT pin_id, toInt8(dimension) AS of, label, {COUNTS}, updated_at
    FROM pin_hour_breakdowns
    WHERE {_HOURS}
    UNION ALL
    SELECT pin_id, toInt8(each) AS of, toLowCardinality('{UNKNOWN}') AS label, {COUNTS}, updated_at
    FROM pin_hours
    ARRAY JOIN {_DIMENSIONS} AS each
    WHERE {_HOURS} AND seal IN ({_PLAIN_SEALS})
) AS r
GROUP BY pin_id, of, label
"""
PLAIN_DAY: Final = (
    f"""INSERT INTO pin_days (window_start, pin_id, {COUNTS}, updated_at, seal)
SELECT toDateTime(%(start)s, 'UTC'), pin_id, {ADDED}, max(r.updated_at), %(number)s
FROM pin_hours AS r
WHERE {_HOURS}
GROUP BY pin_id
""",
)
DAY: Final = (_LABELS_OF_DAY, *PLAIN_DAY)
STATEMENTS: Final = {  # of pins, of a window that names labels, and of a plain one; in this order
    "hour": (HOUR, PLAIN_HOUR),
    "day": (DAY, PLAIN_DAY),
}
SPILL: Final = {"max_bytes_before_external_group_by": 1 << 30}
TABLES: Final = {"hour": ("pin_hours", "pin_hour_breakdowns"), "day": ("pin_days", "pin_day_breakdowns")}
_TOTALS: Final = each_count("sum({count})")


def rows_sums(resolution: str) -> str:
    """Sums of the rows of a window with a number."""
    table, breakdowns = TABLES[resolution]
    check_sum = f"SELECT {ROWS_SUM} FROM {breakdowns} WHERE {_OF_WINDOW}"
    arms = f"({experiment_rows.ROWS_SUM_OF_SEAL})" if resolution == "hour" else "toUInt64(0)"
    return f"SELECT count(), {_TOTALS}, ({check_sum}), {arms} FROM {table} WHERE {_OF_WINDOW}"


def cells_sums(resolution: str, is_plain: bool) -> str:
    """Sums of the cells of a window."""
    check_sum = "toUInt64(0)" if is_plain else CELLS_SUM
    arms = f"({experiment_rows.CELLS_SUM_OF_HOUR})" if resolution == "hour" else "toUInt64(0)"
    return f"""
SELECT count(), {_TOTALS}, sum(check_sum), {arms} FROM
(
    SELECT pin_id, {OF_CELLS}, {check_sum} AS check_sum
    FROM pin_minutes FINAL
    WHERE {_WITHIN.format("hour")}
    GROUP BY pin_id
    HAVING {SOME}
)
"""
