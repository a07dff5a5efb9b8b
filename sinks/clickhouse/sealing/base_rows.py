"""The SQL of `pin_base`: for each pin the sums of its complete hours over the 7 and the 30 days before a day.

The base of the day before, if it fits the hours as they are now, needs only three days of hours: one that comes, one
that leaves 7 days, one that leaves 30. Otherwise all 30 are added up.
"""

from pintally.sinks.clickhouse.per_action import COUNTS, OF_ACTION, each, each_count

# An odd number: the check sum of both columns is that of 30 days, plus that of 7 days times this.
WEEK = 0x9E3779B97F4A7C15
SPILL = {"max_bytes_before_external_group_by": 1 << 30}
NAMES = each_count("{count}_7d, {count}_30d")


def _day(days: int) -> str:
    """Hours of one day: `days` before the day of the base."""
    return (
        f"window_start >= {DAY} - INTERVAL {days} DAY AND window_start < {DAY} - INTERVAL {days - 1} DAY"
    )  # fmt: skip


DAY = "toDateTime(%(start)s, 'UTC')"
IN_MONTH = f"window_start >= {DAY} - INTERVAL 30 DAY AND window_start < {DAY}"
IN_WEEK = f"window_start >= {DAY} - INTERVAL 7 DAY"
SEALS = f"""
    SELECT rows_seal FROM feature_seals FINAL
    WHERE kind = 'hours' AND window_start >= {DAY} - INTERVAL 31 DAY AND window_start < {DAY} AND pins > 0
"""
FROM_HOURS = f"""
INSERT INTO pin_base (day, pin_id, {NAMES}, seal)
SELECT {DAY}, pin_id, {each_count(f"sumIf(h.{{count}}, {IN_WEEK}), sum(h.{{count}})")}, %(number)s
FROM pin_hours_by_pin AS h
WHERE {IN_MONTH} AND seal IN ({SEALS})
GROUP BY pin_id
"""
FROM_DAY_BEFORE = f"""
INSERT INTO pin_base (day, pin_id, {NAMES}, seal)
SELECT {DAY}, pin_id, {each_count("toUInt64(sum(w_{count})), toUInt64(sum(m_{count}) AS s_{count})")}, %(number)s
FROM
(
    SELECT pin_id, {each_count("toInt64({count}_7d) AS w_{count}, toInt64({count}_30d) AS m_{count}")}
    FROM pin_base WHERE day = {DAY} - INTERVAL 1 DAY AND seal = %(before)s
    UNION ALL
    SELECT pin_id, {each_count("toInt64({count}) * in_week AS w_{count}, toInt64({count}) * in_month AS m_{count}")}
    FROM
    (
        SELECT pin_id, {COUNTS},
            ({_day(1)}) - ({_day(8)}) AS in_week,
            ({_day(1)}) - ({_day(31)}) AS in_month
        FROM pin_hours_by_pin
        WHERE ({_day(1)} OR {_day(8)} OR {_day(31)}) AND seal IN ({SEALS})
    )
)
GROUP BY pin_id
HAVING {each("s_{column}", " + ")} != 0
"""
_WEEK, _MONTH = (OF_ACTION.replace("column}", "column}" + days) for days in ("_7d", "_30d"))
ROWS = f"""
SELECT {each_count("sum({count}_30d)")},
    sum({each(f"cityHash64(pin_id, toUInt8({{number}})) * ({_MONTH} + {_WEEK} * {WEEK})", " + ")}), count()
FROM pin_base WHERE day = {DAY} AND seal = %(number)s
"""
HOURS = f"""
SELECT {each_count("sum({count})")}, sum(check_sum) + sumIf(check_sum, {IN_WEEK}) * {WEEK}
FROM feature_seals FINAL WHERE kind = 'hours' AND {IN_MONTH}
"""
