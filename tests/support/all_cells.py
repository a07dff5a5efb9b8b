"""Every cell that a sink holds, as readers see it."""

from pintally.schemas.cells import PinMinuteRows
from pintally.sinks.base import Sink
from pintally.sinks.clickhouse.cells import select_cells
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sink import ClickHouseSink
from tests.support.memory_sink import MemorySink

IN_ORDER = "1 ORDER BY hour, pin_id, minute, action, surface, platform, source, slice_block, arrived_at"


def all_cells(sink: Sink) -> PinMinuteRows:
    """The highest version of each key, in the order of ClickHouse's table."""
    if isinstance(sink, ClickHouseSink):
        with Connection(sink.address, sink.timeout_seconds, only_reads=True) as connection:
            return select_cells(connection, PinMinuteRows, IN_ORDER)
    assert isinstance(sink, MemorySink)
    return sink.read_cells()
