"""Two local servers that name each other as a cluster, and what stands here in Keeper's place.

The local engine has no Keeper, so its tables are plain. After each insert and delete a table is copied to the other
server, unless it lags; what is asked of Keeper (barriers, `system.replicas`) is answered here. All else runs on both
servers as it would on replicas: `clusterAllReplicas`, macros, what each of them has and lacks.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pintally.sinks.clickhouse import barrier, engines, replicas
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.scripts import tables
from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.child import Child
from pintally.tools.engines.clickhouse import clickhouse_program
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.ports import LOOPBACK, free_port

CLUSTER = "counts"
WRITE = re.compile(r"\s*(INSERT INTO|DELETE FROM) `?(\w+)`?")
SYNC = re.compile(r"SYSTEM SYNC REPLICA (\w+) LIGHTWEIGHT")


@dataclass
class Keeper:
    """Stands between connections and the first server."""

    here: ClickHouseAddress
    other: ClickHouseAddress
    log: list[str] = field(default_factory=list)  # what was done, in order
    lagging: set[str] = field(default_factory=set)  # tables that the other server does not fetch
    away: tuple[str, ...] = ()  # replicas that do not answer

    def execute(self, connection: Connection, run: Any, sql: str, *args: Any, **kwargs: Any) -> Any:
        """A statement of ours, as a server with replicas would answer it."""
        if sql == replicas.REPLICAS:
            return [(2, 2 - len(self.away), list(self.away))]
        if sql == barrier.QUEUES:
            return [(name,) for name in tables()]
        if sql == engines.TABLES:
            return [(name, "ReplicatedMergeTree") for name in tables()]
        if waits := SYNC.fullmatch(sql):
            self.log.append(f"sync {waits[1]}")
            return []
        if "clusterAllReplicas" in sql:
            self.log.append("ask all")
        result = run(connection, sql, *args, **kwargs)
        if written := WRITE.match(sql):
            settings = {**connection._client.settings, **(kwargs.get("settings") or {})}
            of = f" on {settings['insert_quorum']}" if written[1] == "INSERT INTO" else ""
            self.log.append(f"{written[1].split()[0].lower()} {written[2]}{of}")
            self.fetch(written[2])
        return result

    def fetch(self, table: str) -> None:
        """Give the other server what this one has."""
        if table in self.lagging:
            return
        plain = self.other.model_copy(update={"cluster": ""})
        with Connection(plain, 30) as connection:
            columns = ", ".join(
                f"`{name}`"
                for (name,) in connection.rows(
                    "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = %(table)s"
                    " AND default_kind != 'ALIAS' ORDER BY position",
                    table=table,
                )
            )
            there = f"remote('{self.here.host}:{self.here.port}', {self.here.database}, {table})"
            connection.execute(f"TRUNCATE TABLE {table}")
            connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {there}")

    def catch_up(self) -> None:
        """The other server fetches all that it lacks."""
        late, self.lagging = self.lagging, set()
        for table in late:
            self.fetch(table)


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
def keeper_of(servers: list[ClickHouseAddress], database: str, patch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """Empty tables on both, and a keeper of those of the first."""
    here, other = (server.model_copy(update={"database": database}) for server in servers)
    for server in (here, other):
        migrate(server.model_copy(update={"cluster": ""}))
    keeper = Keeper(here, other)
    run = Connection.execute

    def execute(connection: Connection, sql: str, *args: Any, **kwargs: Any) -> Any:
        if type(connection) is not Connection or not connection.is_replicated:
            return run(connection, sql, *args, **kwargs)
        return keeper.execute(connection, run, sql, *args, **kwargs)

    with patch.context() as patched:
        patched.setattr(Connection, "execute", execute)
        yield keeper
    for server in (here, other):
        with Connection(server.model_copy(update={"cluster": ""}), 30, database="") as connection:
            connection.execute(f"DROP DATABASE `{database}`")
