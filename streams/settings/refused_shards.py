"""Refuses settings of shards that do not fit together, and commands that ask one server where there are several."""

from pintally.schemas.errors import PintallyError
from pintally.streams.settings.groups import ClickHouseSettings, RulesSettings


def refuse_shards(clickhouse: ClickHouseSettings, rules: RulesSettings, *, over_shards: bool) -> None:
    """Raise PintallyError if PINTALLY_SHARDS is not the number of servers, or this command can only ask one server."""
    servers = clickhouse.shards
    if rules.shards != len(servers):
        raise PintallyError(
            f"PINTALLY_SHARDS={rules.shards}, but PINTALLY_CLICKHOUSE_HOST and PINTALLY_CLICKHOUSE_OTHER_SHARDS name "
            f"{len(servers)}: {', '.join(map(str, servers))}",
            "Name the server of each shard, in the order in which counting began.",
        )
    if len({(server.host, server.port, server.database) for server in servers}) < len(servers):
        raise PintallyError(
            f"one database is named for two shards: {', '.join(map(str, servers))}",
            "Each shard is a database of its own, on a server of its own or not: set PINTALLY_CLICKHOUSE_OTHER_SHARDS.",
        )
    if len(servers) > 1 and not over_shards:
        raise PintallyError(
            f"this command asks one server of ClickHouse, and the pins are on {len(servers)} shards",
            "docs/cluster.md lists the commands that ask all shards.",
        )
