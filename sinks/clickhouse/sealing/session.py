"""Connections for sealing: with replicas, what they insert is on all of them before it counts as inserted."""

from collections.abc import Iterator
from contextlib import contextmanager

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.replicas import wait_for_all
from pintally.sinks.clickhouse.scripts import tables


@contextmanager
def sealing_connection(address: ClickHouseAddress, timeout_seconds: float) -> Iterator[Connection]:
    """Connect. Raises SinkUnavailable if nobody answers or, with replicas, if one of them is away."""
    with Connection(address, timeout_seconds) as connection:
        wait_for_all(connection)
        sync(connection, *tables())
        yield connection
