"""The SQL of arms of experiments: rows of a sealed hour, their check sum, and hours that differ from their cells (C23).

The check sum adds up, for each cell, a hash of its experiment, arm, action and bucket, times its counts. So it needs no
grouping, and rows that are sums of the same cells have the same.
"""

from typing import Final

from pintally.sinks.clickhouse.per_action import COUNTS, OF_ACTION, OF_CELL, OF_CELLS, TOTAL, each, each_count

_IN_HOUR: Final = "hour = toDateTime(%(start)s, 'UTC')"
_OF_SEAL: Final = "window_start = toDateTime(%(start)s, 'UTC') AND seal = %(number)s"
_CELLS_SUM: Final = f"sum(cityHash64(experiment, arm, action, bucket) * {OF_CELL})"
_OF_ROW: Final = f"cityHash64(experiment, arm, toUInt8({{number}}), bucket) * {OF_ACTION}"
_ROWS_SUM: Final = f"sum({each(_OF_ROW, ' + ')})"

HAS_ARMS: Final = f"SELECT count() FROM (SELECT 1 FROM experiment_cells WHERE {_IN_HOUR} LIMIT 1)"
INSERT: Final = f"""
INSERT INTO experiment_hours (experiment, window_start, arm, bucket, {COUNTS}, seal)
SELECT experiment, hour, arm, bucket, {OF_CELLS}, %(number)s
FROM experiment_cells FINAL
WHERE {_IN_HOUR}
GROUP BY experiment, hour, arm, bucket
HAVING {TOTAL} > 0
"""
CELLS_SUM_OF_HOUR: Final = f"SELECT {_CELLS_SUM} FROM experiment_cells FINAL WHERE {_IN_HOUR}"
ROWS_SUM_OF_SEAL: Final = f"SELECT {_ROWS_SUM} FROM experiment_hours WHERE {_OF_SEAL}"

_IN_DAY: Final = "{0} >= toDateTime(%(day)s, 'UTC') AND {0} < toDateTime(%(day)s + 86400, 'UTC')"
_OF_SEALS: Final = (
    f"{_IN_DAY.format('window_start')} AND (window_start, seal) IN (SELECT window_start, seal FROM seals)"
)
_OF_CELLS: Final = f"""{each("toInt64(sumIf(events, action = {number})) AS d_{column}")},
            {each("toInt64(sumIf(trusted, action = {number})) AS d_trusted_{column}")}"""
_DIFFER: Final = " OR ".join(each_count("sum(d_{count}) != 0", "|").split("|"))
# Two comparisons: cells less rows, and what `sealed` states less its rows.
DIFFERENT: Final = f"""
WITH seals AS
    (SELECT window_start, seal, experiment_sum FROM sealed FINAL
     WHERE resolution = 'hour' AND NOT is_open AND {_IN_DAY.format("window_start")})
SELECT DISTINCT toUnixTimestamp(start) FROM
(
    SELECT start FROM
    (
        SELECT hour AS start, experiment, arm, bucket, {_OF_CELLS}
        FROM experiment_cells FINAL
        WHERE {_IN_DAY.format("hour")} AND hour IN (SELECT window_start FROM seals)
        GROUP BY start, experiment, arm, bucket
        UNION ALL
        SELECT window_start AS start, experiment, arm, bucket, {each_count("-toInt64({count}) AS d_{count}")}
        FROM experiment_hours
        WHERE {_OF_SEALS}
    )
    GROUP BY start, experiment, arm, bucket
    HAVING {_DIFFER}
    UNION ALL
    SELECT start FROM
    (
        SELECT window_start AS start, toInt64(experiment_sum) AS d FROM seals
        UNION ALL
        SELECT window_start AS start, -toInt64({_ROWS_SUM}) AS d
        FROM experiment_hours
        WHERE {_OF_SEALS}
        GROUP BY start
    )
    GROUP BY start
    HAVING sum(d) != 0
)
"""
