"""Superseded rows: those of a lower epoch in slices from a boundary on, an old worker's late insert (C19).

Readers do not look for them: that would cost every query for what hardly ever is. `rules apply`, `accept-loss` and each
sealing delete them, the view `superseded_cells` names them.

A boundary is the start row of a higher epoch; of several the lowest counts. Cells do not say where their slice
starts, so a boundary is told from their names. A boundary after a lost range lies inside a slice: there a cell is
superseded whose version tells of more than what lies before the boundary. A dead letter has its offset, and is
superseded from the boundary on, wherever that lies.
"""

from pintally.sinks.clickhouse.connection import Connection

IN_WINDOW = "hour >= toDateTime(%(start)s, 'UTC') AND hour < toDateTime(%(end)s, 'UTC')"
KEY = "source, epoch, slice_block, arrived_at"
LETTER = "source, offset, epoch"
CELL = "source, version, slice_block, arrived_at"
LAST_SECOND = 2**32 - 1  # of DateTime


def has_superseded(connection: Connection, start: int, end: int) -> bool:
    """Whether hours in [start, end) hold superseded rows. Cheap where no rules were ever changed."""
    return _has_boundaries(connection) and bool(
        connection.rows(f"SELECT 1 FROM superseded_cells WHERE {IN_WINDOW} LIMIT 1", start=start, end=end)
    )


def delete_superseded(connection: Connection, start: int, end: int) -> None:
    """Delete superseded cells of hours in [start, end), every superseded ledger row and dead letter; they are gone
    on return.
    """
    if not _has_boundaries(connection):
        return
    if has_superseded(connection, start, end):
        cells = f"SELECT {CELL} FROM superseded_cells WHERE {IN_WINDOW}"
        connection.execute(
            f"DELETE FROM pin_minutes WHERE {IN_WINDOW.replace('hour', 'toStartOfHour(minute)')}"
            f" AND ({CELL}) IN ({cells})",
            {"start": start, "end": end},
        )
    if connection.rows("SELECT 1 FROM superseded_ledger LIMIT 1"):
        connection.execute(f"DELETE FROM ingest_ledger WHERE ({KEY}) IN (SELECT {KEY} FROM superseded_ledger)")
    if connection.rows("SELECT 1 FROM superseded_letters LIMIT 1"):
        connection.execute(f"DELETE FROM dead_letters WHERE ({LETTER}) IN (SELECT {LETTER} FROM superseded_letters)")


def _has_boundaries(connection: Connection) -> bool:
    return bool(connection.rows("SELECT 1 FROM ingest_starts WHERE epoch > 0 LIMIT 1"))
