"""Cells to and from ClickHouse, in columns: no work a row in Python."""

from typing import Any

import numpy as np

from pintally.schemas.rows import CellRows
from pintally.sinks.clickhouse.connection import Connection, OnConnection
from pintally.sinks.clickhouse.sealing.reopen import early_hours, open_hours, reopen, sealed_until

COLUMNS = {
    "source": np.uint64,
    "slice_block": np.uint32,
    "arrived_at": np.uint32,
    "action": np.uint8,
    "minute": np.uint32,
    "pin_id": np.uint64,
    "events": np.uint64,
    "version": np.uint64,
}
INSERT = f"INSERT INTO pin_minutes ({', '.join(COLUMNS)}) VALUES"


class Cells(OnConnection):
    """The cells of a session."""

    def write_cells(self, rows: CellRows) -> None:
        """Insert cells. Hours already sealed are read from minutes until they are sealed again.

        1. Hours below `sealed_until` are opened, so that hours and days change in the same moment as minutes.
        2. The cells go in.
        3. They are opened once more: a sealing that began in between may have read the minutes without them.
        """
        if not len(rows):
            return
        early = early_hours(rows, sealed_until(self.connection))
        if early and not open_hours(self.connection).issuperset(early):
            reopen(self.connection, early)
        columns = [getattr(rows, "count" if name == "events" else name) for name in COLUMNS]
        self.connection.execute(INSERT, columns, columnar=True, settings={"use_numpy": True})
        reopen(self.connection, early_hours(rows, sealed_until(self.connection)))


def select_cells(connection: Connection, where: str, **parameters: object) -> CellRows:
    """The cells that meet a condition, which names its `parameters`; the highest version of each key."""
    names = [f"toUnixTimestamp({name}) AS {name}_s" if name in ("arrived_at", "minute") else name for name in COLUMNS]
    sql = f"SELECT {', '.join(names)} FROM pin_minutes FINAL WHERE {where}"
    found: list[Any] = connection.execute(sql, parameters, columnar=True)
    columns = found or [[] for _ in COLUMNS]
    arrays = (np.asarray(column, dtype) for column, dtype in zip(columns, COLUMNS.values(), strict=True))
    return CellRows(*arrays)
