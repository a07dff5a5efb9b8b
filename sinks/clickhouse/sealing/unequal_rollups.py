"""The SQL that finds sealed hours and days of one day that are not the sums of their minutes, pin by pin.

Three comparisons: minutes less roll-ups, minutes less breakdowns (their check sums), and what `sealed` states of a
window less its rows. `experiment_rows` has the same of arms of experiments.
"""

from typing import Final

from pintally.sinks.clickhouse.per_action import COUNTS, each, each_count
from pintally.sinks.clickhouse.sealing import experiment_rows
from pintally.sinks.clickhouse.sealing.rollup_rows import CELLS_SUM, NAMES_LABELS, OF_PINS, ROWS_SUM, TABLES

_STATED: Final = ", ".join(OF_PINS)
_IN_DAY: Final = "{0} >= toDateTime(%(day)s, 'UTC') AND {0} < toDateTime(%(day)s + 86400, 'UTC')"
_OF_SEALS: Final = "(window_start, seal) IN (SELECT window_start, seal FROM seals)"
_VALUES: Final = tuple(name for name in OF_PINS if name != "pins")
_MINUS: Final = each_count("-toInt64({count}) AS d_{count}")
_PLAIN: Final = "(SELECT window_start FROM seals WHERE breakdown_sum = 0)"  # these windows have no labels
_OF_CELLS: Final = f"""{each("toInt64(sumIf(events, action = {number})) AS d_{column}")},
            {each("toInt64(sumIf(trusted, action = {number})) AS d_trusted_{column}")},
            toInt64(if(start IN {_PLAIN}, sumIf(events, {NAMES_LABELS}), {CELLS_SUM})) AS d_breakdown_sum"""
_NONE: Final = each_count("toInt64(0) AS d_{count}")
_DIFFER: Final = " OR ".join(f"sum(d_{name}) != 0" for name in _VALUES)
_ROWS: Final = ", ".join(f"toInt64({name}) AS d_{name}" for name in OF_PINS)


def _different(resolution: str, window: str) -> str:
    """Of one day, `%(day)s`, in seconds since 1970."""
    table, breakdowns = TABLES[resolution]
    return f"""
WITH seals AS
    (SELECT window_start, seal, {_STATED} FROM sealed FINAL
     WHERE resolution = '{resolution}' AND NOT is_open AND {_IN_DAY.format("window_start")}),
rolled AS
    (SELECT window_start, pin_id, {COUNTS} FROM {table}
     WHERE {_IN_DAY.format("window_start")} AND {_OF_SEALS}),
broken_down AS
    (SELECT window_start, pin_id, {ROWS_SUM} AS breakdown_sum FROM {breakdowns}
     WHERE {_IN_DAY.format("window_start")} AND {_OF_SEALS}
     GROUP BY window_start, pin_id)
SELECT DISTINCT toUnixTimestamp(start) FROM
(
    SELECT start, pin_id FROM
    (
        SELECT {window} AS start, pin_id, {_OF_CELLS}
        FROM pin_minutes FINAL
        WHERE {_IN_DAY.format("hour")} AND {window} IN (SELECT window_start FROM seals)
        GROUP BY start, pin_id
        UNION ALL
        SELECT window_start AS start, pin_id, {_MINUS}, toInt64(0) AS d_breakdown_sum
        FROM rolled
        UNION ALL
        SELECT window_start AS start, pin_id, {_NONE}, -toInt64(breakdown_sum) AS d_breakdown_sum
        FROM broken_down
    )
    GROUP BY start, pin_id
    HAVING {_DIFFER}
    UNION ALL
    SELECT start, 0 AS pin_id FROM
    (
        SELECT window_start AS start, {_ROWS}
        FROM seals
        UNION ALL
        SELECT window_start AS start, -1 AS d_pins, {_MINUS}, toInt64(0) AS d_breakdown_sum
        FROM rolled
        UNION ALL
        SELECT window_start AS start, 0 AS d_pins, {_NONE}, -toInt64(breakdown_sum) AS d_breakdown_sum
        FROM broken_down
    )
    GROUP BY start
    HAVING sum(d_pins) != 0 OR {_DIFFER}
)
"""


DIFFERENT: Final = (_different("hour", "hour"), _different("day", "toStartOfDay(hour)"), experiment_rows.DIFFERENT)
