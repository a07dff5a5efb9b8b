"""Days that are open and whose minutes are deleted with age: they are sealed again as they were last (C24).

A day may be opened until 88 days after it. If nobody seals for two midnights then, its minutes are gone, readers find
nothing of it, and nothing is left to seal it from but the rows that were published before. Cells that opened it are not
counted in the day.
"""

from dataclasses import dataclass

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.rollup import RollUp, Window, rolled_up
from pintally.sinks.clickhouse.sealing.rollup_rows import TABLES, Sums
from pintally.sinks.clickhouse.sealing.steps import seal_window

OPEN = """
SELECT toUnixTimestamp(window_start) FROM sealed FINAL
WHERE resolution = 'day' AND is_open AND pins > 0 AND window_start < toStartOfDay(now('UTC')) - INTERVAL 89 DAY
"""
NUMBERS = """
SELECT DISTINCT seal FROM pin_days WHERE window_start = toDateTime(%(start)s, 'UTC') AND seal < %(number)s
ORDER BY seal DESC
"""
COPY = """
INSERT INTO {table} SELECT * REPLACE (toUInt64(%(number)s) AS seal)
FROM (SELECT * FROM {table} WHERE window_start = toDateTime(%(start)s, 'UTC') AND seal = %(last)s)
"""


@dataclass(frozen=True)
class _AsBefore(RollUp):
    """The steps of such a day."""

    def insert(self, number: int) -> None:
        start = self.window.start
        for (last,) in self.connection.rows(NUMBERS, start=start, number=number):
            if rolled_up(self.connection, self.window, last) == self.expected():
                for table in TABLES["day"]:
                    self.connection.execute(COPY.format(table=table), {"start": start, "number": number, "last": last})
                return

    def expected(self) -> Sums:
        return self.read_row().sums  # a row that opens a window has those that were published last


def seal_as_before(connection: Connection) -> tuple[int, ...]:
    """Seal such days; returns them, in seconds since 1970."""
    days = [Window("day", start) for (start,) in connection.rows(OPEN)]
    return tuple(day.start for day in days if seal_window(connection, _AsBefore(connection, day, ())).seal)
