"""Void rows: those of a lower generation in slices from a boundary on, an old worker's late insert (rule 19).

Readers do not look for them: that would cost every query for what hardly ever is. `rules apply` and each sealing delete
them, the view `void_cells` names them.
"""

from sinks.connection import Connection

IN_WINDOW = "hour >= toDateTime(%(start)s, 'UTC') AND hour < toDateTime(%(end)s, 'UTC')"
KEY = "source, generation, block, arrived"


def has_void(connection: Connection, start: int, end: int) -> bool:
    """Whether hours in [start, end) hold void rows. Cheap where no rules were ever changed."""
    return _has_boundaries(connection) and bool(
        connection.rows(f"SELECT 1 FROM void_cells WHERE {IN_WINDOW} LIMIT 1", start=start, end=end)
    )


def delete_void(connection: Connection, start: int, end: int) -> None:
    """Delete void cells of hours in [start, end), and every void ledger row; they are gone on return."""
    if not _has_boundaries(connection):
        return
    if has_void(connection, start, end):
        slices = f"SELECT {KEY} FROM void_cells WHERE {IN_WINDOW}"
        connection.execute(
            f"DELETE FROM pin_minutes WHERE {IN_WINDOW.replace('hour', 'toStartOfHour(minute)')}"
            f" AND (source, toUInt32(bitShiftRight(version, 48)), block, arrived) IN ({slices})",
            {"start": start, "end": end},
        )
    if connection.rows("SELECT 1 FROM void_ledger LIMIT 1"):
        connection.execute(f"DELETE FROM ingest_ledger WHERE ({KEY}) IN (SELECT {KEY} FROM void_ledger)")


def _has_boundaries(connection: Connection) -> bool:
    return bool(connection.rows("SELECT 1 FROM ingest_starts WHERE generation > 0 LIMIT 1"))
