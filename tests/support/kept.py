"""A copy of some tables of a database: what a test changed is put back, and only that."""

from collections.abc import Sequence

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection

# Whatever changes rows makes parts of other names: inserts, mutations, merges, and what drops rows.
PARTS = """
SELECT table, groupArray((name, hash_of_all_files)) FROM
    (SELECT table, name, hash_of_all_files FROM system.parts WHERE database = currentDatabase() AND active ORDER BY ALL)
GROUP BY table
"""


class Kept:
    """The tables as they are when it is made."""

    def __init__(self, address: ClickHouseAddress, tables: Sequence[str]) -> None:
        self._address, self._tables = address, tables
        with Connection(address, 30) as connection:
            for table in tables:
                connection.execute(f"CREATE TABLE {table}_good AS {table}")
                connection.execute(f"INSERT INTO {table}_good SELECT * FROM {table}")
            self._parts = dict(connection.rows(PARTS))

    def restore(self) -> None:
        """Put back those that have other parts than before."""
        with Connection(self._address, 30) as connection:
            parts = dict(connection.rows(PARTS))
            for table in self._tables:
                if parts.get(table) != self._parts.get(table):
                    connection.execute(f"TRUNCATE TABLE {table}")
                    connection.execute(f"INSERT INTO {table} SELECT * FROM {table}_good")
            self._parts = dict(connection.rows(PARTS))
