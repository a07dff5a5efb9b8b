"""Where the scripts make tables, views and users: on one server, or on every server of a cluster.

With replicas each statement that makes something says ON CLUSTER, and each table has an engine of the Replicated
family. Its path in Keeper has the macros {shard} and {replica}, which each server fills in by its own configuration.
Asks no server.
"""

import re
from dataclasses import dataclass
from typing import Final

TABLE: Final = re.compile(r"^CREATE TABLE IF NOT EXISTS (\w+)")
ENGINE: Final = re.compile(r"^ENGINE = Replicated(\w*MergeTree)(?:\((\w+)\))?$", re.MULTILINE)
SETTINGS: Final = re.compile(r"^SETTINGS ", re.MULTILINE)
# A part that a replica fetched is not written with fsync otherwise; and no table may drop a block that equals another.
ON_REPLICAS: Final = "SETTINGS min_compressed_bytes_to_fsync_after_fetch = 1, replicated_deduplication_window = 0, "


@dataclass(frozen=True, slots=True)
class Layout:
    """Fills scripts in. Without the name of a cluster all texts are those of one server."""

    cluster: str = ""
    database: str = ""

    @property
    def on_cluster(self) -> str:
        """What stands behind the name of what is made."""
        return f" ON CLUSTER `{self.cluster}`" if self.cluster else ""

    @property
    def family(self) -> str:
        """What the names of engines begin with."""
        return "Replicated" if self.cluster else ""

    def made(self, statement: str) -> str:
        """A filled-in statement with its table's path in Keeper, and with the settings of replicated tables."""
        table = TABLE.match(statement)
        if not self.cluster or not table:
            return statement
        folder = self.database.replace("\\", "\\\\").replace("'", "\\'")
        path = f"'/clickhouse/tables/{{shard}}/{folder}/{table[1]}', '{{replica}}'"
        statement = ENGINE.sub(
            lambda engine: f"ENGINE = Replicated{engine[1]}({', '.join(filter(None, (path, engine[2])))})", statement
        )
        return SETTINGS.sub(ON_REPLICAS, statement, count=1)


ONE_SERVER: Final = Layout()
