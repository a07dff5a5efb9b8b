"""Superseded rows: rows of a lower epoch in slices from an epoch start on (C19). An old worker may insert them late.

Queries of readers do not filter them out: each query would pay for a case that is rare. `rules apply`, `accept-loss`
and each sealing delete them, from the table of every aggregate. The view `superseded_cells` lists those of pin-minutes.

An epoch start is the start row of a higher epoch; if there are several, the lowest one decides. A cell has no offset:
the name of its slice tells on which side of the epoch start it is. If the epoch start follows a lost range, it lies
inside a slice. Then the version of a cell decides: it is superseded if its position is beyond the epoch start. A dead
letter has an offset: it is superseded if the offset is at the epoch start or beyond.
"""

from pintally.schemas.cells import CELL_TABLES, CellRows, PinMinuteRows
from pintally.sinks.clickhouse.connection import Connection, OnConnection
from pintally.sinks.clickhouse.scripts import SUPERSEDED

IN_HOURS = (
    "toStartOfHour({window}) >= toDateTime(%(start)s, 'UTC') AND toStartOfHour({window}) < toDateTime(%(end)s, 'UTC')"
)
CELLS = f"""
SELECT c.source, c.version, c.slice_block, c.arrived_at
FROM {{table}} AS c
{SUPERSEDED}
"""
KEY = "source, epoch, slice_block, arrived_at"
LETTER = "source, offset, epoch"
CELL = "source, version, slice_block, arrived_at"
LAST_SECOND = 2**32 - 1  # of DateTime


class StaleRows(OnConnection):
    """The superseded rows of all sources."""

    def delete_superseded(self) -> None:
        delete_superseded(self.connection, 0, LAST_SECOND)


def has_superseded(connection: Connection, start: int, end: int) -> bool:
    """Whether hours in [start, end) hold superseded pin-minutes. Cheap where no rules were ever changed."""
    return _has_later_epochs(connection) and _has_superseded_cells(connection, PinMinuteRows, start, end)


def delete_superseded(connection: Connection, start: int, end: int) -> None:
    """Delete superseded cells of hours in [start, end), every superseded ledger row and dead letter; they are gone
    on return.
    """
    if not _has_later_epochs(connection):
        return
    for kind in CELL_TABLES:
        if _has_superseded_cells(connection, kind, start, end):
            in_hours = IN_HOURS.format(window=kind.window)
            connection.execute(
                f"DELETE FROM {kind.table} WHERE {in_hours} AND ({CELL}) IN ({_cells(kind)})",
                {"start": start, "end": end},
            )
    if connection.rows("SELECT 1 FROM superseded_ledger LIMIT 1"):
        connection.execute(f"DELETE FROM ingest_ledger WHERE ({KEY}) IN (SELECT {KEY} FROM superseded_ledger)")
    if connection.rows("SELECT 1 FROM superseded_letters LIMIT 1"):
        connection.execute(f"DELETE FROM dead_letters WHERE ({LETTER}) IN (SELECT {LETTER} FROM superseded_letters)")


def _cells(kind: type[CellRows]) -> str:
    """The superseded cells of one table in hours [start, end)."""
    return f"{CELLS.format(table=kind.table)} AND {IN_HOURS.format(window=f'c.{kind.window}')}"


def _has_superseded_cells(connection: Connection, kind: type[CellRows], start: int, end: int) -> bool:
    return bool(connection.rows(f"{_cells(kind)} LIMIT 1", start=start, end=end))


def _has_later_epochs(connection: Connection) -> bool:
    return bool(connection.rows("SELECT 1 FROM ingest_starts WHERE epoch > 0 LIMIT 1"))
