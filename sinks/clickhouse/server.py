"""The clock of the ClickHouse server. It decides the age of rows, and when hours were sealed."""

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection, OnConnection

CLOCK = "SELECT toUnixTimestamp64Milli(now64(3))"


class Clock(OnConnection):
    """The server's clock."""

    def read_clock(self) -> int:
        return int(self.connection.one(CLOCK)[0])


def clock_of(address: ClickHouseAddress, timeout_seconds: float = 30) -> int:
    """Returns the time of a server in ms since 1970. Raises SinkUnavailable and SinkError."""
    with Connection(address, timeout_seconds, only_reads=True) as connection:
        return Clock(connection).read_clock()
