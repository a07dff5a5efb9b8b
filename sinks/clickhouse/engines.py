"""Whether there are replicas, by the settings and by the server; and what does not fit together is refused by name."""

from collections.abc import Mapping

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.layout import ONE_SERVER, Layout

CLUSTERS = "SELECT DISTINCT cluster FROM system.clusters ORDER BY cluster"
DATABASE = "SELECT engine FROM system.databases WHERE name = currentDatabase()"
TABLES = """
SELECT name, engine FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name
"""


class OtherEngines(SinkError):
    """The tables are those of one server and the settings name a cluster, or the other way round."""


def layout_of(connection: Connection) -> Layout:
    """How `pintally migrate` makes things on this server. On ClickHouse Cloud as on one server: it replicates them.

    Raises SinkError for a name that is not that of a cluster.
    """
    address = connection.address
    if not connection.is_replicated:
        return ONE_SERVER
    known = [name for (name,) in connection.rows(CLUSTERS)]
    if address.cluster not in known:
        raise SinkError(
            f"ClickHouse at {address} has no cluster {address.cluster!r}, it has: {', '.join(known) or 'none'}",
            "Set PINTALLY_CLICKHOUSE_CLUSTER to one of them, or unset it for one server alone.",
        )
    return Layout(address.cluster, address.database)


def layout_at(address: ClickHouseAddress, timeout_seconds: float = 30) -> Layout:
    """As `layout_of`, on a connection of its own where the settings name a cluster. Raises SinkUnavailable."""
    if not address.cluster:
        return ONE_SERVER
    with Connection(address, timeout_seconds, database="") as connection:
        return layout_of(connection)


def refuse_wrong_engines(address: ClickHouseAddress, timeout_seconds: float = 30) -> None:
    """Raise OtherEngines as `refuse_other_engines` does, on a connection of its own. Raises SinkUnavailable."""
    with Connection(address, timeout_seconds) as connection:
        refuse_other_engines(connection)


def refuse_replicated_database(connection: Connection) -> None:
    """Raise SinkError for a database that ClickHouse itself repeats on other servers.

    Plain tables in it would be made on each server and copied to none, without an error.
    """
    (engine,) = connection.one(DATABASE)
    address = connection.address
    if engine == "Shared" and not address.cluster:
        raise SinkError(
            f"ClickHouse at {address} is of ClickHouse Cloud, where several servers answer, and the settings say one",
            "Set PINTALLY_CLICKHOUSE_CLUSTER=default.",
        )
    if engine == "Replicated" and not connection.is_cloud:
        raise SinkError(
            f"the database {address.database!r} of ClickHouse at {address} is of the engine Replicated: it makes "
            "tables on other servers too, and does not copy their rows",
            "Set PINTALLY_CLICKHOUSE_DATABASE to a name that is not taken, and PINTALLY_CLICKHOUSE_CLUSTER to the "
            "servers that are to hold the same rows: `pintally migrate` makes a database of the engine Atomic on each.",
        )


def refuse_other_engines(connection: Connection) -> None:
    """Raise OtherEngines if there are tables that are not replicated where they must be, or are where they must not."""
    engines = dict(connection.rows(TABLES))
    if connection.is_replicated:
        _refuse(connection, _not_of("Replicated", engines), "copied to no other server", "unset")
    elif not connection.is_cloud:
        others = {name: engine for name, engine in engines.items() if engine.startswith(("Replicated", "Shared"))}
        _refuse(connection, others, "shared with other servers", "set")


def _not_of(family: str, engines: Mapping[str, str]) -> dict[str, str]:
    return {name: engine for name, engine in engines.items() if not engine.startswith(family)}


def _refuse(connection: Connection, tables: Mapping[str, str], what: str, verb: str) -> None:
    if not tables:
        return
    name, engine = next(iter(tables.items()))
    address = connection.address
    cluster = f"PINTALLY_CLICKHOUSE_CLUSTER={address.cluster}" if address.cluster else "no PINTALLY_CLICKHOUSE_CLUSTER"
    raise OtherEngines(
        f"{len(tables)} tables in {address} are {what} ({name}: {engine}), and the settings say {cluster}",
        f"{verb.capitalize()} PINTALLY_CLICKHOUSE_CLUSTER as it was when `pintally migrate` made them, or use another "
        "database (PINTALLY_CLICKHOUSE_DATABASE).",
    )
