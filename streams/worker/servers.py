"""Where workers count to: one server of ClickHouse, or several that share the pins."""

from collections.abc import Sequence

from pintally.schemas.shards import Place
from pintally.sinks.base import Sink
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.maintained_shards import MaintainedShards
from pintally.sinks.maintenance import MaintainedSink
from pintally.sinks.shards import ShardedSink
from pintally.streams.counting.shards import furthest_behind
from pintally.streams.settings import ClickHouseSettings


def servers_of(
    clickhouse: ClickHouseSettings, timeout_seconds: float = 30, *, only_reads: bool = False
) -> list[ClickHouseSink]:
    """A sink of each server, shard 0 first. `timeout_seconds` bounds each wait for an answer."""
    servers = list(enumerate(clickhouse.shards))
    return [
        ClickHouseSink(address, timeout_seconds, only_reads=only_reads, place=Place(number, len(servers)))
        for number, address in servers
    ]


def maintained_sink_of(clickhouse: ClickHouseSettings, timeout_seconds: float) -> MaintainedSink:
    """What an operator changes: one server, or all of them as one."""
    servers = servers_of(clickhouse, timeout_seconds)
    return servers[0] if len(servers) == 1 else MaintainedShards(servers, furthest_behind)


def sink_of(servers: Sequence[MaintainedSink], *, only_reads: bool = False) -> Sink:
    """What a worker flushes to and restores from: one of one server, or all of them as one."""
    return servers[0] if len(servers) == 1 else ShardedSink(servers, furthest_behind, only_reads=only_reads)
