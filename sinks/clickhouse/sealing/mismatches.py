"""Sealed windows that readers would see wrong: found pin by pin, and opened until they are sealed again.

Every writer of ours opens what it changes, so what is found here was done by other hands: rows or partitions of
roll-ups that were deleted, rows of `sealed` that were. A sealing that runs meanwhile may have a window opened once more
than needed, and closes it again.
"""

from collections.abc import Iterator

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.reopen import reopen

KEPT = "toStartOfDay(now('UTC')) - INTERVAL 88 DAY"  # minutes of older days may have been dropped with age
SPILL = {"max_bytes_before_external_group_by": 1 << 30}

# A window that is neither sealed nor open is read by nobody.
UNNAMED = f"""
SELECT DISTINCT toUnixTimestamp(hour) FROM pin_minutes
WHERE hour >= {KEPT} AND hour < (SELECT sealed_until FROM seal_state)
    AND hour NOT IN (SELECT window_start FROM sealed FINAL WHERE resolution = 'hour')
UNION DISTINCT
SELECT DISTINCT toUnixTimestamp(min(hour)) FROM pin_minutes
WHERE hour >= {KEPT} AND toStartOfDay(hour) < (SELECT days_until FROM seal_state)
    AND toStartOfDay(hour) NOT IN (SELECT window_start FROM sealed FINAL WHERE resolution = 'day')
GROUP BY toStartOfDay(hour)
"""
SEALED_DAYS = f"""
SELECT DISTINCT toUnixTimestamp(toStartOfDay(window_start)) AS day FROM sealed FINAL
WHERE NOT is_open AND window_start >= {KEPT} ORDER BY day
"""
# Of one day: the minutes of its sealed windows, less their roll-ups; and what `sealed` states of them, less those.
DIFFERENT = """
WITH seals AS
    (SELECT window_start, seal, pins, saves, clicks, closeups FROM sealed FINAL
     WHERE resolution = '{resolution}' AND NOT is_open AND window_start >= toDateTime(%(day)s, 'UTC')
        AND window_start < toDateTime(%(day)s + 86400, 'UTC')),
rolled AS
    (SELECT window_start, pin_id, saves, clicks, closeups FROM {table}
     WHERE window_start >= toDateTime(%(day)s, 'UTC') AND window_start < toDateTime(%(day)s + 86400, 'UTC')
        AND (window_start, seal) IN (SELECT window_start, seal FROM seals))
SELECT DISTINCT toUnixTimestamp(start) FROM
(
    SELECT start, pin_id FROM
    (
        SELECT {window} AS start, pin_id, toInt64(sumIf(events, action = 1)) AS s,
            toInt64(sumIf(events, action = 2)) AS c, toInt64(sumIf(events, action = 3)) AS u
        FROM pin_minutes FINAL
        WHERE hour >= toDateTime(%(day)s, 'UTC') AND hour < toDateTime(%(day)s + 86400, 'UTC')
            AND {window} IN (SELECT window_start FROM seals)
        GROUP BY start, pin_id
        UNION ALL
        SELECT window_start AS start, pin_id, -toInt64(saves) AS s, -toInt64(clicks) AS c, -toInt64(closeups) AS u
        FROM rolled
    )
    GROUP BY start, pin_id
    HAVING sum(s) != 0 OR sum(c) != 0 OR sum(u) != 0
    UNION ALL
    SELECT start, 0 AS pin_id FROM
    (
        SELECT window_start AS start, toInt64(pins) AS p, toInt64(saves) AS s, toInt64(clicks) AS c,
            toInt64(closeups) AS u
        FROM seals
        UNION ALL
        SELECT window_start AS start, -1 AS p, -toInt64(saves) AS s, -toInt64(clicks) AS c, -toInt64(closeups) AS u
        FROM rolled
    )
    GROUP BY start
    HAVING sum(p) != 0 OR sum(s) != 0 OR sum(c) != 0 OR sum(u) != 0
)
"""
WINDOWS = {"hour": ("pin_hours", "hour"), "day": ("pin_days", "toStartOfDay(hour)")}


def reopen_unequal(connection: Connection) -> None:
    """Have sealed windows that are not the sum of their minutes read from minutes until they are sealed again."""
    reopen(connection, set(_unequal(connection)))


def _unequal(connection: Connection) -> Iterator[int]:
    """Hours, in seconds since 1970; of a day its first."""
    yield from (row[0] for row in connection.rows(UNNAMED))
    for (day,) in connection.rows(SEALED_DAYS):
        for resolution, (table, window) in WINDOWS.items():
            sql = DIFFERENT.format(resolution=resolution, table=table, window=window)
            yield from (row[0] for row in connection.execute(sql, {"day": day}, settings=SPILL))
