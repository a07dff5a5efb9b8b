"""The replicas of the tables: how many there are, how many answer Keeper now, and which do not (C38)."""

from typing import Final, NamedTuple

from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.sinks.clickhouse.connection import Connection

_AWAY: Final = "mapKeys(mapFilter((name, is_active) -> NOT is_active, replica_is_active))"
REPLICAS: Final = f"""
SELECT count(), min(total_replicas), min(active_replicas), arraySort(arrayDistinct(arrayFlatten(groupArray({_AWAY}))))
FROM system.replicas WHERE database = currentDatabase()
"""


class Replicas(NamedTuple):
    """Of all tables of the database."""

    registered: int
    active: int  # of the table that has the fewest
    away: tuple[str, ...]  # names


class ReplicaAway(SinkUnavailable):
    """Something has to be done on every replica, and one of them is away."""


def replicas_of(connection: Connection) -> Replicas:
    """Asks the server, which asks Keeper. Raises SinkError where no table is replicated.

    A table that has lost Keeper says that it has no replicas at all: then it raises SinkUnavailable.
    """
    tables, registered, active, away = connection.one(REPLICAS)
    if tables and not registered:
        raise SinkUnavailable(
            f"ClickHouse at {connection.address} does not reach Keeper",
            "Start it; if it runs, system.replicas on that server says which tables have lost it.",
        )
    if not tables:
        raise SinkError(
            f"ClickHouse at {connection.address} has no replicated tables, and PINTALLY_CLICKHOUSE_CLUSTER="
            f"{connection.address.cluster}",
            "Run `pintally migrate`.",
        )
    return Replicas(registered, active, tuple(away))


def refuse_absent(connection: Connection, what: str) -> None:
    """Raise ReplicaAway if a replica is away. Nothing is asked of one server.

    `what` cannot be done then: a DELETE, for instance, ends in code 341, with rows gone on those that are there alone.
    """
    if connection.is_replicated:
        _all_active(connection, what)


def active_quorum(connection: Connection) -> dict[str, int]:
    """A setting by which an insert waits until every replica that is not away has it; none on one server."""
    if not connection.is_replicated:
        return {}
    return {"insert_quorum": max(replicas_of(connection).active, connection.address.quorum)}


def wait_for_all(connection: Connection) -> None:
    """From now on each insert of this connection waits until all replicas have it. Raises ReplicaAway."""
    if connection.is_replicated:
        connection.keep(insert_quorum=_all_active(connection, "sealing"))


def _all_active(connection: Connection, what: str) -> int:
    """How many replicas there are. Raises ReplicaAway if one of them is away."""
    found = replicas_of(connection)
    if found.away or found.active < found.registered:
        names = ", ".join(found.away) or "one"
        raise ReplicaAway(
            f"{what} needs every replica of {connection.address}, and {found.registered - found.active} of "
            f"{found.registered} are away: {names}",
            "Start it. If it will not come back, remove it: SYSTEM DROP REPLICA '...' FROM DATABASE "
            f"`{connection.address.database}`.",
        )
    return found.registered
