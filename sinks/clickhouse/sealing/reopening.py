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
from pintally.sinks.clickhouse.sealing.arm_days import open_unequal_arms
from pintally.sinks.clickhouse.sealing.cut_times import BUCKET, NEWEST
from pintally.sinks.clickhouse.sealing.feature_seals import BASE, HOURS, TILES, open_from, open_windows
from pintally.sinks.clickhouse.sealing.missing_cuts import put_back_cuts
from pintally.sinks.clickhouse.sealing.reopen import HOUR, reopen
from pintally.sinks.clickhouse.sealing.rollup_rows import SPILL
from pintally.sinks.clickhouse.sealing.seal import read_state
from pintally.sinks.clickhouse.sealing.unequal_features import unequal_features
from pintally.sinks.clickhouse.sealing.unequal_rollups import DIFFERENT
from pintally.sinks.clickhouse.sealing.users import open_unequal_users

KEPT = "toStartOfDay(now('UTC')) - INTERVAL 88 DAY"  # minutes of older days may have been dropped with age

# A window that is neither sealed nor open is read by nobody.
_UNNAMED_HOUR = f"""
WHERE hour >= {KEPT} AND hour < (SELECT sealed_until FROM seal_state)
    AND hour NOT IN (SELECT window_start FROM sealed FINAL WHERE resolution = 'hour')
UNION DISTINCT
"""
UNNAMED = f"""
SELECT DISTINCT toUnixTimestamp(hour) FROM pin_minutes {_UNNAMED_HOUR}
SELECT DISTINCT toUnixTimestamp(hour) FROM experiment_cells {_UNNAMED_HOUR}
SELECT DISTINCT toUnixTimestamp(min(hour)) FROM pin_minutes
WHERE hour >= {KEPT} AND toStartOfDay(hour) < (SELECT days_until FROM seal_state)
    AND toStartOfDay(hour) NOT IN (SELECT window_start FROM sealed FINAL WHERE resolution = 'day')
GROUP BY toStartOfDay(hour)
"""
SEALED_DAYS = f"""
SELECT DISTINCT toUnixTimestamp(toStartOfDay(window_start)) AS day FROM sealed FINAL
WHERE NOT is_open AND window_start >= {KEPT} ORDER BY day
"""
WORDS = {TILES: "arrival bucket", HOURS: "complete hour", BASE: "base of the day"}
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
            *open_unequal_users(self.connection),
            *open_unequal_arms(self.connection),
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
        for sql in DIFFERENT:
            yield from (row[0] for row in connection.execute(sql, {"day": day}, settings=SPILL))
