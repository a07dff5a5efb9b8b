"""Where a worker counts to: one server of ClickHouse, or several that share the pins."""

from collections.abc import Sequence

from pintally.schemas.shards import Place
from pintally.sinks.base import Sink
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.maintenance import MaintainedSink
from pintally.sinks.shards import ShardedSink
from pintally.streams.counting.shards import furthest_behind
from pintally.streams.settings import ClickHouseSettings


def servers_of(clickhouse: ClickHouseSettings) -> list[ClickHouseSink]:
    """A sink of each server, shard 0 first."""
    addresses = clickhouse.shards
    return [ClickHouseSink(address, place=Place(n, len(addresses))) for n, address in enumerate(addresses)]


def sink_of(servers: Sequence[MaintainedSink]) -> Sink:
    """What a worker flushes to and restores from."""
    return servers[0] if len(servers) == 1 else ShardedSink(servers, furthest_behind)
