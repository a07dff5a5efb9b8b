"""Where workers count to: one server of ClickHouse, or several that share the pins."""

from collections.abc import Sequence

from pintally.schemas.shards import Place
from pintally.sinks.base import Sink
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.maintenance import MaintainedSink
from pintally.sinks.shards import ShardedSink
from pintally.streams.counting.shards import furthest_behind
from pintally.streams.settings import ClickHouseSettings


def servers_of(clickhouse: ClickHouseSettings, *, only_reads: bool = False) -> list[ClickHouseSink]:
    """A sink of each server, shard 0 first."""
    servers = list(enumerate(clickhouse.shards))
    return [
        ClickHouseSink(address, only_reads=only_reads, place=Place(number, len(servers))) for number, address in servers
    ]


def sink_of(servers: Sequence[MaintainedSink], *, only_reads: bool = False) -> Sink:
    """What a worker flushes to and restores from: one of one server, or all of them as one."""
    return servers[0] if len(servers) == 1 else ShardedSink(servers, furthest_behind, only_reads=only_reads)
