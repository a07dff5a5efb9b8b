"""Superseded rows: rows of a lower epoch in slices from an epoch start on (C19). An old worker may insert them late.

Queries of readers do not filter them out: each query would pay for a case that is rare. `rules apply`, `accept-loss`
and each sealing delete them, from the table of every aggregate. The view `superseded_cells` lists them.

An epoch start is the start row of a higher epoch; if there are several, the lowest one decides. A cell has no offset:
the name of its slice tells on which side of the epoch start it is. If the epoch start follows a lost range, it lies
inside a slice. Then the version of a cell decides: it is superseded if its position is beyond the epoch start. A dead
letter has an offset: it is superseded if the offset is at the epoch start or beyond.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType

from pintally.schemas.cells import CELL_TABLES, MEMBERS, CellRows
from pintally.sinks.clickhouse.barrier import sync
from pintally.sinks.clickhouse.connection import Connection, OnConnection
from pintally.sinks.clickhouse.replicas import refuse_absent
from pintally.sinks.clickhouse.scripts import SUPERSEDED

# What tells superseded rows from others. A DELETE names them: replicas refuse one with a query, to which each of them
# might have another answer.
CELL = "source, version, slice_block, toUnixTimestamp(arrived_at)"
KEY = "source, epoch, slice_block, toUnixTimestamp(arrived_at)"
LETTER = "source, offset, epoch"
CELLS = f"SELECT DISTINCT {CELL.replace('arrived_at', 'c.arrived_at')} FROM {{table}} AS c {SUPERSEDED}"
AT_ONCE = 2000  # rows that one DELETE names: half of the longest query
LAST_SECOND = 2**32 - 1  # of DateTime
TABLES = (*(kind.table for kind in CELL_TABLES), "ingest_ledger", "dead_letters")  # that have superseded rows


@dataclass(frozen=True, slots=True)
class Selection:
    """Some of the cells. Its condition has {window} for the column of event time, and {of} before columns."""

    condition: str
    parameters: Mapping[str, int]

    def of(self, kind: type[CellRows], alias: str = "") -> str:
        """The condition on a table of cells."""
        of = f"{alias}." if alias else ""
        return self.condition.format(of=of, window=f"{of}{kind.window}")


def in_hours(start: int, end: int) -> Selection:
    """The cells of hours in [start, end), in seconds since 1970."""
    hour = "toStartOfHour({window})"
    condition = f"{hour} >= toDateTime(%(start)s, 'UTC') AND {hour} < toDateTime(%(end)s, 'UTC')"
    return Selection(condition, {"start": start, "end": end})


def in_bucket(bucket: int) -> Selection:
    """The cells that arrived in a bucket."""
    return Selection("{of}arrived_at = toDateTime(%(bucket)s, 'UTC')", {"bucket": bucket})


class StaleRows(OnConnection):
    """The superseded rows of all sources."""

    def delete_superseded(self) -> None:
        sync(self.connection, "ingest_starts", *TABLES)
        delete_superseded(self.connection, in_hours(0, LAST_SECOND))


def has_superseded(connection: Connection, selection: Selection) -> bool:
    """Whether some of these cells are superseded. Cheap where no rules were ever changed."""
    if not _has_later_epochs(connection):
        return False
    return bool(_superseded(connection, CELL_TABLES, selection))


def delete_superseded(connection: Connection, selection: Selection) -> None:
    """Delete the superseded ones of these cells, all superseded ledger rows and letters; they are gone on return."""
    if not _has_later_epochs(connection):
        return
    refuse_absent(connection, "DELETE of superseded rows")
    for _, kinds in groupby(CELL_TABLES, key=MEMBERS.__contains__):
        for kind in _superseded(connection, kinds, selection):
            found = f"{CELLS.format(table=kind.table)} AND {selection.of(kind, 'c')}"
            _delete(connection, kind.table, CELL, found, selection.of(kind), selection.parameters)
    _delete(connection, "ingest_ledger", KEY, f"SELECT DISTINCT {KEY} FROM superseded_ledger")
    _delete(connection, "dead_letters", LETTER, f"SELECT DISTINCT {LETTER} FROM superseded_letters")


def _delete(
    connection: Connection,
    table: str,
    key: str,
    found: str,
    condition: str = "1",
    parameters: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Delete the rows of a table whose keys a query finds; nothing if it finds none."""
    keys = connection.rows(found, **parameters)
    for first in range(0, len(keys), AT_ONCE):
        connection.execute(
            f"DELETE FROM {table} WHERE {condition} AND ({key}) IN %(keys)s",
            {**parameters, "keys": tuple(keys[first : first + AT_ONCE])},
        )


def _superseded(connection: Connection, kinds: Iterable[type[CellRows]], selection: Selection) -> list[type[CellRows]]:
    """Those of these kinds of which some cells in a selection are superseded.

    One statement that joins their cells once: a small one costs what the plan of the view costs.
    """
    named = {kind.table: kind for kind in kinds}
    row = "source, version, slice_block, arrived_at"
    cells = (f"SELECT '{name}' AS name, {row} FROM {name} WHERE {selection.of(kind)}" for name, kind in named.items())
    look = f"(SELECT DISTINCT c.name FROM ({' UNION ALL '.join(cells)}) AS c {SUPERSEDED})"
    return [named[name] for (name,) in connection.rows(look, **selection.parameters)]


def _has_later_epochs(connection: Connection) -> bool:
    return bool(connection.rows("SELECT 1 FROM ingest_starts WHERE epoch > 0 LIMIT 1"))
