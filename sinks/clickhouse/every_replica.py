"""Asks every replica the same question, and takes the answer if all of them give it (C38).

`clusterAllReplicas` over `view`, so that each server runs the whole of a query by itself, its subqueries too. A cluster
may have more shards than this one: the answers of servers with another macro {shard} are left out.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.replicas import replicas_of
from pintally.sinks.clickhouse.scripts import tables

# One row of each server, also where the query has none.
EVERYWHERE: Final = """
SELECT of_shard, answer FROM clusterAllReplicas(
    `{cluster}`, view(SELECT {shard} AS of_shard, groupArray(tuple(*)) AS answer FROM ({sql})))
"""
SHARD: Final = "getMacro('shard')"
# Else the server that asks answers in the same query, and the others are sent what its scalar subqueries found.
APART: Final = {"prefer_localhost_replica": 0}
READ: Final = re.compile(rf"\b(FROM|JOIN)(\s+)({'|'.join(tables())})\b")
Rows = list[tuple[Any, ...]]


class ReplicasDiffer(Exception):
    """Some replica answers otherwise than another, or not at all: it lacks rows that others have."""


class EveryReplica(Connection):
    """Queries of a connection that all replicas must answer alike. Each raises ReplicasDiffer if they do not."""

    def __init__(self, connection: Connection) -> None:
        self._through = connection
        self._address = connection.address
        self.is_cloud, self.is_replicated = connection.is_cloud, connection.is_replicated

    def execute(self, sql: str, *args: Any, settings: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """As `Connection.execute`, of a query that this server answers. Rows come in another order.

        Raises SinkUnavailable where another one refuses it: a server that has just joined the cluster has no tables.
        """
        shard = SHARD if self.is_replicated else "''"
        asked = EVERYWHERE.format(cluster=self._address.cluster, shard=shard, sql=self._named(sql))
        ours = self._through.one(f"SELECT {shard}")[0]
        try:
            answers = self._through.execute(asked, *args, settings={**(settings or {}), **APART}, **kwargs)
        except SinkUnavailable:
            raise
        except SinkError as error:
            raise SinkUnavailable(
                f"some server of cluster {self._address.cluster} refuses what this one answers: {error.what}",
                "If it joined the cluster later, run `pintally migrate`: it makes the tables there.",
            ) from error
        return agreed([answer for of_shard, answer in answers if of_shard == ours], self._expected())

    def _named(self, sql: str) -> str:
        """The query with the names of our database and tables: another server has a default database of its own."""
        return READ.sub(rf"\1\2`{self._address.database}`.\3", sql)

    def close(self) -> None:
        """Close the connection."""
        self._through.close()

    def _expected(self) -> int:
        """How many must answer. On ClickHouse Cloud there is one storage, and any number of servers."""
        return replicas_of(self._through).registered if self.is_replicated else 1


def agreed(answers: Iterable[Rows], expected: int) -> Rows:
    """The rows of one replica, sorted, if as many as are expected answered and all have the same. Pure."""
    each = [sorted(answer, key=repr) for answer in answers]
    if len(each) < expected or any(answer != each[0] for answer in each):
        raise ReplicasDiffer
    return each[0]
