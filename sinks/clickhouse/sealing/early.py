"""Hours that were sealed before their time, by ClickHouse's clock, which stamps each row of `sealed`.

No version seals such an hour any more. One that trusted a clock of its own that was ahead did, and readers were told
that an hour is final into which events still came.
"""

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.reopen import HOUR, reopen

EARLY = """
SELECT toUnixTimestamp(window_start) FROM sealed FINAL
WHERE resolution = 'hour' AND NOT is_open
    AND toInt64(toUnixTimestamp(written_at)) < toInt64(toUnixTimestamp(window_start)) + %(needed)s
ORDER BY window_start
"""


def early_hours_sealed(connection: Connection, lateness_seconds: int) -> list[int]:
    """Hours (their start in seconds since 1970) that were sealed before their end and `lateness_seconds`."""
    return [int(row[0]) for row in connection.rows(EARLY, needed=HOUR + lateness_seconds)]


def reopen_early(connection: Connection, lateness_seconds: int) -> list[int]:
    """Have them read from minutes until they are sealed again, in their time; returns them."""
    hours = early_hours_sealed(connection, lateness_seconds)
    reopen(connection, hours)
    return hours
