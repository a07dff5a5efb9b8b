"""A connection to one simulated replica, which answers the statements of the real sealing."""

from collections.abc import Mapping
from random import Random
from typing import Any

from pintally.schemas.errors import SinkUnavailable
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.replicas import REPLICAS
from tests.simulation.replicas import Entry, Replicas
from tests.simulation.sealing.statements import Rows, made, plain, read
from tests.simulation.sealing.tables import TABLES, Tables
from tests.support.actors import current

ADDRESS = ClickHouseAddress()
QUORUM = 2
NOT_ANSWERED, TWICE = 0.03, 0.02  # of inserts
SYNC, EVERYWHERE = "SYSTEM SYNC REPLICA ", "SELECT of_shard, answer FROM clusterAllReplicas("


class Server:
    """All replicas of one server, and what happens to statements."""

    def __init__(self, rng: Random, count: int) -> None:
        self.rng = rng
        self.replicas: Replicas[Tables] = Replicas(rng, count, lambda *_: None, Tables)
        self.is_calm = False

    @property
    def each(self) -> list[Tables]:
        """The tables of each replica."""
        return [replica.sink for replica in self.replicas.each]

    def insert(self, at: int, table: str, rows: Rows, quorum: int) -> None:
        """A part, and the answer to it; now and then the driver's caller never learns that it was done twice."""
        for _ in range(1 + (not self.is_calm and self.rng.random() < TWICE)):
            entry: Entry[Tables] = Entry(table, lambda tables: tables.add(table, rows))
            self.replicas.take(entry, at)
        if not self.replicas.reach(entry, at, quorum - 1) or (not self.is_calm and self.rng.random() < NOT_ANSWERED):
            raise SinkUnavailable("unknown status of the insert")


class SimConnection(Connection):
    """Statements go to one replica; a step of the schedule comes before each."""

    has_replicas = is_replicated = True
    is_cloud = False

    def __init__(self, server: Server, at: int, process: str) -> None:
        self.server, self.at, self.process = server, at, process
        self.life = server.replicas.lives[at]
        self.settings: dict[str, Any] = {"insert_quorum": QUORUM}
        self._address, self._over = ADDRESS, False

    def keep(self, **settings: Any) -> None:
        self.settings |= settings

    def close(self) -> None:
        self._over = True

    def execute(self, sql: str, *args: Any, **kwargs: Any) -> Any:
        if actor := getattr(current, "actor", None):
            actor.wait(plain(sql), args)
        replicas = self.server.replicas
        if self._over or self.at not in replicas.up or self.life != replicas.lives[self.at]:
            self._over = True
            raise SinkUnavailable("this replica is away")
        try:
            return self._done(plain(sql), sql, args, {**self.settings, **kwargs.get("settings", {})})
        except SinkUnavailable:
            self._over = True
            raise

    def _done(self, words: str, sql: str, args: tuple[Any, ...], settings: Mapping[str, Any]) -> Any:
        if words.startswith(SYNC):
            return self._sync(words.removeprefix(SYNC).split()[0])
        if words.startswith("INSERT"):
            columns = [name.strip(" `") for name in sql[sql.find("(") + 1 : sql.find(")")].split(",")]
            table, rows = made(self.server.each[self.at], sql, args[0], columns)
            return self.server.insert(self.at, table, rows, int(settings["insert_quorum"]))
        return self._read(words, sql, (args and args[0]) or {})

    def _read(self, words: str, sql: str, asked: Mapping[str, Any]) -> Rows:
        replicas = self.server.replicas
        if words.startswith(EVERYWHERE):
            if len(replicas.up) < len(replicas.each):
                raise SinkUnavailable("a replica does not answer")
            inner = sql[sql.index(" FROM (", sql.index("groupArray")) + 7 : sql.rindex(")))")]
            inner = inner.replace(f"`{ADDRESS.database}`.", "")  # it is asked on another server
            return [("01", read(tables, inner, asked)) for tables in self.server.each]
        return self._own(words) or read(self.server.each[self.at], sql, asked)

    def _own(self, words: str) -> Rows:
        """What a server says of itself."""
        replicas = self.server.replicas
        away = tuple(f"r{number}" for number in range(len(replicas.each)) if number not in replicas.up)
        says: dict[str, Rows] = {
            "SELECT serverUUID(), currentDatabase()": [(self.process, "")],
            "SELECT hostName(), tcpPort()": [("r", self.at, "")],
            "SELECT name FROM system.tables": [(table,) for table in TABLES],
            plain(REPLICAS): [(len(TABLES), len(replicas.each), len(replicas.up), away)],
            "SELECT getMacro('shard')": [("01",)],
        }
        return next((rows for begin, rows in says.items() if words.startswith(begin)), [])

    def _sync(self, table: str) -> None:
        if not self.server.replicas.sync(self.at, (table,)):
            raise SinkUnavailable("a part is on a replica that is away")
