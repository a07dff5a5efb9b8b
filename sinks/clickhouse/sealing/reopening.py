"""Sealed windows that are opened, and read from minutes until they are sealed again: chosen by time, or found wrong.

- Those from a moment on: what comes will change them.
- Those that are not the sum of their minutes, pin by pin. Every writer of ours opens what it changes, so what is found
  here was done by other hands: rows or partitions of roll-ups that were deleted, rows of `sealed` that were. A sealing
  that runs meanwhile may have a window opened once more than needed, and closes it again.
- Windows of features that are not what their cells say (`unequal_features`), found in the same cases. Cuts that were
  deleted between others are put back (`missing_cuts`).
- Hours that were sealed before their time, by ClickHouse's clock, which stamps each row of `sealed`. No version seals
  such an hour any more. One that trusted a clock of its own that was ahead did, and readers were told that an hour is
  final into which events still came.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from pintally.sinks.clickhouse.connection import Connection, OnConnection
from pintally.sinks.clickhouse.per_action import NAMES, each
from pintally.sinks.clickhouse.sealing.cut_times import BUCKET, NEWEST
from pintally.sinks.clickhouse.sealing.feature_seals import BASE, HOURS, TILES, open_from, open_windows
from pintally.sinks.clickhouse.sealing.missing_cuts import put_back_cuts
from pintally.sinks.clickhouse.sealing.reopen import HOUR, reopen
from pintally.sinks.clickhouse.sealing.seal import read_state
from pintally.sinks.clickhouse.sealing.unequal_features import unequal_features

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
DIFFERENT = f"""
WITH seals AS
    (SELECT window_start, seal, pins, {NAMES} FROM sealed FINAL
     WHERE resolution = '{{resolution}}' AND NOT is_open AND window_start >= toDateTime(%(day)s, 'UTC')
        AND window_start < toDateTime(%(day)s + 86400, 'UTC')),
rolled AS
    (SELECT window_start, pin_id, {NAMES} FROM {{table}}
     WHERE window_start >= toDateTime(%(day)s, 'UTC') AND window_start < toDateTime(%(day)s + 86400, 'UTC')
        AND (window_start, seal) IN (SELECT window_start, seal FROM seals))
SELECT DISTINCT toUnixTimestamp(start) FROM
(
    SELECT start, pin_id FROM
    (
        SELECT {{window}} AS start, pin_id, {each("toInt64(sumIf(events, action = {number})) AS c{number}")}
        FROM pin_minutes FINAL
        WHERE hour >= toDateTime(%(day)s, 'UTC') AND hour < toDateTime(%(day)s + 86400, 'UTC')
            AND {{window}} IN (SELECT window_start FROM seals)
        GROUP BY start, pin_id
        UNION ALL
        SELECT window_start AS start, pin_id, {each("-toInt64({column}) AS c{number}")}
        FROM rolled
    )
    GROUP BY start, pin_id
    HAVING {each("sum(c{number}) != 0", " OR ")}
    UNION ALL
    SELECT start, 0 AS pin_id FROM
    (
        SELECT window_start AS start, toInt64(pins) AS p, {each("toInt64({column}) AS c{number}")}
        FROM seals
        UNION ALL
        SELECT window_start AS start, -1 AS p, {each("-toInt64({column}) AS c{number}")}
        FROM rolled
    )
    GROUP BY start
    HAVING sum(p) != 0 OR {each("sum(c{number}) != 0", " OR ")}
)
"""
WORDS = {TILES: "arrival bucket", HOURS: "complete hour", BASE: "base of the day"}
WINDOWS = {"hour": ("pin_hours", "hour"), "day": ("pin_days", "toStartOfDay(hour)")}


EARLY = """
SELECT toUnixTimestamp(window_start) FROM sealed FINAL
WHERE resolution = 'hour' AND NOT is_open
    AND toInt64(toUnixTimestamp(written_at)) < toInt64(toUnixTimestamp(window_start)) + %(needed)s
ORDER BY window_start
"""


class Reopening(OnConnection):
    """The sealed windows that a session opens."""

    def reopen_from(self, moment: int) -> None:
        first = moment // HOUR * HOUR
        reopen(self.connection, [hour for hour in read_state(self.connection).hours if hour >= first])
        open_from(self.connection, moment // BUCKET * BUCKET, first)  # events arrive after they happened

    def reopen_unequal(self) -> list[str]:
        hours = set(_unequal(self.connection))
        reopen(self.connection, hours)
        cuts = put_back_cuts(self.connection)
        features = unequal_features(self.connection)
        open_windows(self.connection, features)
        return [
            *(f"hour {_utc(hour)} and its day" for hour in sorted(hours)),
            *(f"cut {_utc(cut)}: put back, with the time of its last trace" for cut in cuts),
            *(f"features, {WORDS[kind]} {_utc(start)}" for kind, start in sorted(features)),
        ]

    def newest_cut(self) -> int:
        return int(self.connection.one(NEWEST)[0])

    def reopen_early(self, lateness_seconds: int) -> None:
        early = self.connection.rows(EARLY, needed=HOUR + lateness_seconds)
        reopen(self.connection, [int(row[0]) for row in early])


def _utc(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%MZ}"


def _unequal(connection: Connection) -> Iterator[int]:
    """Hours, in seconds since 1970; of a day its first."""
    yield from (row[0] for row in connection.rows(UNNAMED))
    for (day,) in connection.rows(SEALED_DAYS):
        for resolution, (table, window) in WINDOWS.items():
            sql = DIFFERENT.format(resolution=resolution, table=table, window=window)
            yield from (row[0] for row in connection.execute(sql, {"day": day}, settings=SPILL))
