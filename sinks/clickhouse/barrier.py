"""Waits until this server has what other replicas have, before something is read that must not be old (C38).

On one server nothing waits and nothing is asked. On replicas it is `SYSTEM SYNC REPLICA ... LIGHTWEIGHT`, which waits
for parts and not for merges. On ClickHouse Cloud a setting of the connection does it (`pins.CLOUD`).
"""

from typing import Final
from weakref import WeakKeyDictionary

from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.sinks.clickhouse.connection import Connection

WAIT_SECONDS: Final = 20  # below the 30 s that a worker waits for an answer
TIMEOUT_EXCEEDED: Final = 159
SYNC: Final = "SYSTEM SYNC REPLICA {} LIGHTWEIGHT"
WHO: Final = "SELECT hostName(), tcpPort(), toString(serverUUID())"
QUEUES: Final = "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(engine, 'Replicated')"

_who: WeakKeyDictionary[Connection, tuple[object, ...]] = WeakKeyDictionary()  # the server of a connection
_queues: WeakKeyDictionary[Connection, frozenset[str]] = WeakKeyDictionary()  # its tables that have a queue


class SpreadSession(SinkError):
    """One connection is answered by several servers, so that no order of statements holds."""


def sync(connection: Connection, *tables: str) -> None:
    """Wait until this server has all rows of these tables that another one acknowledged before.

    Nothing where the connection only reads, and of tables without a queue. Raises SinkUnavailable if this server lags
    for longer, SinkError if two servers answer one connection.
    """
    if not connection.is_replicated:
        return
    refuse_spread(connection)
    for table in tables:
        if table in _queues_of(connection):
            _wait(connection, table)


def refuse_spread(connection: Connection) -> None:
    """Raise SpreadSession if another server answers now than did before."""
    who = connection.one(WHO)
    if _who.setdefault(connection, who) != who:
        connection.close()
        raise SpreadSession(
            f"what answers as ClickHouse at {connection.address} spreads one connection over several servers: "
            f"{_who[connection][0]} and {who[0]}",
            "Set PINTALLY_CLICKHOUSE_HOST to a server, or to a balancer of TCP connections, not of statements.",
        )


def _queues_of(connection: Connection) -> frozenset[str]:
    if connection not in _queues:
        _queues[connection] = frozenset(name for (name,) in connection.rows(QUEUES))
    return _queues[connection]


def _wait(connection: Connection, table: str) -> None:
    try:
        connection.execute(SYNC.format(table), settings={"receive_timeout": WAIT_SECONDS})
    except SinkUnavailable as error:
        if getattr(error.__cause__, "code", None) != TIMEOUT_EXCEEDED:
            raise
        raise SinkUnavailable(
            f"ClickHouse at {connection.address} lacks rows of {table} that other replicas have, after "
            f"{WAIT_SECONDS} s",
            "Wait; if it stays so, system.replication_queue on that server says why.",
        ) from error
