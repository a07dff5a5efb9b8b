"""Two local servers that name each other as a cluster, and what stands here in Keeper's place.

The local engine has no Keeper, so its tables are plain. After an insert or a delete a table is copied to the other
server, unless it lags, at the latest when somebody looks at it there; what is asked of Keeper (barriers,
`system.replicas`) is answered here. All else runs on both servers as it would on replicas: `clusterAllReplicas`,
macros, what each of them has and lacks.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse import barrier, engines, replicas
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.scripts import tables
from pintally.sinks.clickhouse.sealing import recheck
from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.child import Child
from pintally.tools.engines.clickhouse import clickhouse_program
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.ports import LOOPBACK, free_port

CLUSTER = "counts"
WRITE = re.compile(r"\s*(INSERT INTO|DELETE FROM) `?(\w+)`?")
ALL = "clusterAllReplicas"
COLUMNS = """
SELECT arrayStringConcat(groupArray(concat('`', name, '`')), ', ') FROM
(
    SELECT name FROM system.columns
    WHERE database = currentDatabase() AND table = %(table)s AND default_kind != 'ALIAS' ORDER BY position
)
"""
SYNC = re.compile(r"SYSTEM SYNC REPLICA (\w+) LIGHTWEIGHT")


@dataclass
class Keeper:
    """Stands between connections and the first server."""

    here: ClickHouseAddress
    there: ClickHouseAddress
    log: list[str] = field(default_factory=list)  # what was done, in order
    lagging: set[str] = field(default_factory=set)  # tables that the other server does not fetch
    away: tuple[str, ...] = ()  # replicas that do not answer
    answers: bool = True  # else it is Keeper itself that is away, and every table without its replicas
    changed: set[str] = field(default_factory=set)  # tables that the other server fetches before anybody looks

    @property
    def other(self) -> ClickHouseAddress:
        """The other server, with all that it has by now."""
        self.fetch(self.changed)
        return self.there

    def execute(self, connection: Connection, run: Any, sql: str, *args: Any, **kwargs: Any) -> Any:
        """A statement of ours, as a server with replicas would answer it."""
        if sql == replicas.REPLICAS:
            seen = (2, 2 - len(self.away), list(self.away)) if self.answers else (0, 0, [])
            return [(len(tables()), *seen)]
        if sql == barrier.QUEUES:
            return [(name,) for name in tables()]
        if sql == engines.TABLES:
            return [(name, "ReplicatedMergeTree") for name in tables()]
        if waits := SYNC.fullmatch(sql):
            self.log.append(f"sync {waits[1]}")
            return []
        if ALL in sql:
            self.log.append("ask all")
        if sql.startswith("DELETE") and "SELECT" in sql:
            raise SinkError("ALTER DELETE statement with subquery may be nondeterministic (code 36)", "")
        result = run(connection, sql, *args, **kwargs)
        if written := WRITE.match(sql):
            settings = {**connection._client.settings, **(kwargs.get("settings") or {})}
            of = f" on {settings['insert_quorum']}" if written[1] == "INSERT INTO" else ""
            self.log.append(f"{written[1].split()[0].lower()} {written[2]}{of}")
            self.changed |= {written[2]} - self.lagging
        return result

    def fetch(self, wanted: Iterable[str]) -> None:
        """Give the other server what this one has of some tables."""
        if not (late := self.changed & set(wanted)):
            return
        with Connection(_plain(self.there), 30) as connection:
            for table in late:
                [(columns,)] = connection.rows(COLUMNS, table=table)
                of = f"remote('{self.here.host}:{self.here.port}', {self.here.database}, {table})"
                connection.execute(f"TRUNCATE TABLE {table}")
                connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {of}")
        self.changed -= late

    def catch_up(self) -> None:
        """The other server fetches all that it lacks."""
        self.changed |= self.lagging
        self.lagging = set()


@contextmanager
def two_servers(directory: Path, *, shards: tuple[str, str] = ("01", "01")) -> Iterator[list[ClickHouseAddress]]:
    """Two servers of one cluster, ready; `shards` are their macros."""
    ports: list[int] = []
    for _ in range(4):
        ports.append(free_port(ports))
    native, http = ports[:2], ports[2:]
    members = "".join(f"<replica><host>{LOOPBACK}</host><port>{port}</port></replica>" for port in native)
    cluster = f"<remote_servers><{CLUSTER}><shard>{members}</shard></{CLUSTER}></remote_servers>"
    children: list[Child] = []
    folders = [EngineFolder(directory / name) for name in ("a", "b")]
    for folder in folders:
        folder.take()
    try:
        for number, folder in enumerate(folders):
            program = clickhouse_program(
                folder, EngineAddresses(f"{LOOPBACK}:1", LOOPBACK, native[number], http[number])
            )
            file = folder.clickhouse / "config.xml"
            macros = f"<macros><shard>{shards[number]}</shard><replica>{folder.path.name}</replica></macros>"
            file.write_text(file.read_text().replace("</clickhouse>", f"{cluster}{macros}</clickhouse>"))
            children.append(Child(program, folder.lock_fd, print))
            children[-1].start()
        for child in children:
            child.wait_ready()
        yield [
            ClickHouseAddress(host=LOOPBACK, port=port, http_port=other, cluster=CLUSTER, quorum=0)
            for port, other in zip(native, http, strict=True)
        ]
    finally:
        for child in children:
            child.stop()
        for folder in folders:
            folder.release()


@contextmanager
def two_databases(servers: list[ClickHouseAddress], database: str) -> Iterator[Keeper]:
    """Empty tables on both, dropped at the end."""
    here, there = (server.model_copy(update={"database": database}) for server in servers)
    for server in (here, there):
        migrate(_plain(server))
    yield Keeper(here, there)
    for server in (here, there):
        with Connection(_plain(server), 30, database="") as connection:
            connection.execute(f"DROP DATABASE `{database}`")


def emptied(keeper: Keeper) -> Keeper:
    """The same tables, empty on both. What this process knows of their windows is forgotten: numbers begin anew."""
    recheck._seen.clear()
    for server in (keeper.here, keeper.there):
        with Connection(_plain(server), 30) as connection:
            for table in tables():
                connection.execute(f"TRUNCATE TABLE {table}")
    return Keeper(keeper.here, keeper.there)


@contextmanager
def standing_in(keeper: Keeper, patch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """Let a keeper answer for the first server."""
    run = Connection.execute

    def execute(connection: Connection, sql: str, *args: Any, **kwargs: Any) -> Any:
        if ALL in sql:
            keeper.fetch(re.findall(r"\w+", sql))
        if type(connection) is not Connection or not connection.is_replicated:
            return run(connection, sql, *args, **kwargs)
        return keeper.execute(connection, run, sql, *args, **kwargs)

    with patch.context() as patched:
        patched.setattr(Connection, "execute", execute)
        yield keeper


@contextmanager
def keeper_of(servers: list[ClickHouseAddress], database: str, patch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """Empty tables on both, and a keeper of those of the first."""
    with two_databases(servers, database) as keeper, standing_in(keeper, patch):
        yield keeper


def _plain(server: ClickHouseAddress) -> ClickHouseAddress:
    return server.model_copy(update={"cluster": ""})
