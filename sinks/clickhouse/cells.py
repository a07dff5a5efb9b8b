"""Writes and reads cells of any aggregate, in columns, without Python work for each row."""

from collections.abc import Sequence

import numpy as np

from pintally.schemas.cells import CellRows, PinMinuteRows, Rows, rows_of
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.array_blocks import Columns
from pintally.sinks.clickhouse.connection import Connection, OnConnection
from pintally.sinks.clickhouse.sealing.feature_seals import open_features, open_windows
from pintally.sinks.clickhouse.sealing.opened_by_cells import known_windows
from pintally.sinks.clickhouse.sealing.reopen import early_hours, open_hours, reopen, sealed_and_cut, sealed_until

_newest_cuts: dict[ClickHouseAddress, int] = {}  # the newest cut that this process saw


class Cells(OnConnection):
    """The part of a session that writes and reads cells."""

    def write_cells(self, *tables: CellRows) -> None:
        """Insert cells. Hours already sealed are read from minutes until they are sealed again.

        1. Hours below `sealed_until` are opened, so that hours and days change in the same moment as minutes. Buckets
           and complete hours that are known at a published cut are opened too: their readers see the change once they
           are sealed again.
        2. The cells go in, each aggregate's into its table.
        3. They are opened once more: a sealing that began in between may have read the minutes without them.
        """
        written = [rows for rows in tables if len(rows)]
        if written:
            self._open(written, before=True)
        for rows in written:
            names = rows.columns()
            insert = f"INSERT INTO {rows.table} ({', '.join(names)}) VALUES"
            self.connection.execute(insert, [Columns([getattr(rows, name) for name in names])], columnar=True)
        if written:
            self._open(written, before=False)

    def _open(self, tables: Sequence[CellRows], *, before: bool) -> None:
        """Open what is sealed of these cells' windows. `before` they go in, what is open stays as it is."""
        until, newest = self._sealed(before)
        minutes = rows_of(PinMinuteRows, tables)  # features are made of these alone
        early, known = early_hours(tables, until), known_windows(self.connection, minutes, newest)
        if before and early and open_hours(self.connection).issuperset(early):
            early = []
        if before and known:
            known -= open_features(self.connection)
        reopen(self.connection, early)
        open_windows(self.connection, known)

    def _sealed(self, before: bool) -> tuple[int, int]:
        """End of the last sealed hour, and the newest cut.

        Before cells go in, a cut that this process saw earlier will do: whatever is newer is opened after them.
        """
        address = self.connection.address
        if before and address in _newest_cuts:
            return sealed_until(self.connection), _newest_cuts[address]
        until, _newest_cuts[address] = sealed_and_cut(self.connection)
        return until, _newest_cuts[address]


def select_cells(connection: Connection, kind: type[Rows], where: str, **parameters: object) -> Rows:
    """Returns the cells that meet a condition with `parameters`; the highest version of each key."""
    columns = kind.columns()
    # toUInt32 makes seconds of a DateTime; under another name, because the condition means the table's columns.
    names = [f"toUInt32({name}) AS {name}_n" if columns[name] is np.uint32 else name for name in columns]
    sql = f"SELECT {', '.join(names)} FROM {kind.table} FINAL WHERE {where}"
    return kind.of(connection.execute(sql, parameters, columnar=True) or [()] * len(columns))
