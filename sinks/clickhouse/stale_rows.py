"""Void rows: those of a lower generation in slices from a boundary on, an old worker's late insert (C19).

Readers do not look for them: that would cost every query for what hardly ever is. `rules apply`, `accept-loss` and each
sealing delete them, the view `void_cells` names them.

A boundary is the start row of a higher generation; of several the lowest counts. Cells do not say where their slice
starts, so a boundary is told from their names. A boundary after a lost range lies inside a slice: there a cell is void
whose version tells of more than what lies before the boundary. A dead letter has its offset, and is void from the
boundary on, wherever that lies.
"""

from pintally.sinks.clickhouse.connection import Connection

IN_WINDOW = "hour >= toDateTime(%(start)s, 'UTC') AND hour < toDateTime(%(end)s, 'UTC')"
KEY = "source, generation, block, arrived"
LETTER = "source, offset, generation"
CELL = "source, version, block, arrived"
LAST_SECOND = 2**32 - 1  # of DateTime


def has_void(connection: Connection, start: int, end: int) -> bool:
    """Whether hours in [start, end) hold void rows. Cheap where no rules were ever changed."""
    return _has_boundaries(connection) and bool(
        connection.rows(f"SELECT 1 FROM void_cells WHERE {IN_WINDOW} LIMIT 1", start=start, end=end)
    )


def delete_void(connection: Connection, start: int, end: int) -> None:
    """Delete void cells of hours in [start, end), every void ledger row and dead letter; they are gone on return."""
    if not _has_boundaries(connection):
        return
    if has_void(connection, start, end):
        cells = f"SELECT {CELL} FROM void_cells WHERE {IN_WINDOW}"
        connection.execute(
            f"DELETE FROM pin_minutes WHERE {IN_WINDOW.replace('hour', 'toStartOfHour(minute)')}"
            f" AND ({CELL}) IN ({cells})",
            {"start": start, "end": end},
        )
    if connection.rows("SELECT 1 FROM void_ledger LIMIT 1"):
        connection.execute(f"DELETE FROM ingest_ledger WHERE ({KEY}) IN (SELECT {KEY} FROM void_ledger)")
    if connection.rows("SELECT 1 FROM void_letters LIMIT 1"):
        connection.execute(f"DELETE FROM dead_letters WHERE ({LETTER}) IN (SELECT {LETTER} FROM void_letters)")


def _has_boundaries(connection: Connection) -> bool:
    return bool(connection.rows("SELECT 1 FROM ingest_starts WHERE generation > 0 LIMIT 1"))
