"""The clock of the ClickHouse server: what has an age there, and what was sealed when, goes by it."""

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection

CLOCK = "SELECT toUnixTimestamp64Milli(now64(3))"


def read_clock(connection: Connection) -> int:
    """The server's clock, in ms since 1970."""
    return int(connection.one(CLOCK)[0])


def clock_of(address: ClickHouseAddress, timeout_seconds: float = 30) -> int:
    """The same, on a connection of its own. Raises SinkUnavailable and SinkError."""
    with Connection(address, timeout_seconds, only_reads=True) as connection:
        return read_clock(connection)
