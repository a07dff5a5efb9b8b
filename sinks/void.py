"""Void rows: those of a lower generation in slices from a boundary on, an old worker's late insert (C19).

Readers do not look for them: that would cost every query for what hardly ever is. `rules apply`, `accept-loss` and each
sealing delete them, the view `void_cells` names them.

A boundary is the start row of a higher generation; of several the lowest counts. Cells do not say where their slice
starts, so a boundary is told from their names. A boundary after a lost range lies inside a slice: there a cell is void
whose version tells of more than what lies before the boundary. A dead letter has its offset, and is void from the
boundary on, wherever that lies.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.rows import GENERATION_SHIFT, LedgerRow, LostKind, StartRow, position_of
from schemas.rules import ARRIVED_MS, Rules
from sinks.base import SourceLedger
from sinks.connection import Connection

IN_WINDOW = "hour >= toDateTime(%(start)s, 'UTC') AND hour < toDateTime(%(end)s, 'UTC')"
KEY = "source, generation, block, arrived"
LETTER = "source, offset, generation"
CELL = "source, version, block, arrived"
LAST_SECOND = 2**32 - 1  # of DateTime


@dataclass(frozen=True, slots=True)
class Void:
    """What is void of one source and generation. The view `void_slices` says the same in SQL."""

    generation: int
    start: int  # offset: slices that start here or later
    block: int  # as cells name them: from this block on,
    arrived: int  # in that block from this arrived (seconds since 1970) on
    inside: bool  # the boundary lies inside a slice: versions tell what is void

    def has_row(self, row: LedgerRow) -> bool:
        """Whether a ledger row of the source is void."""
        return row.generation == self.generation and row.start >= self.start

    def has_cell(self, block: int, arrived: int, version: int) -> bool:
        """Whether a cell of the source is void."""
        if version >> GENERATION_SHIFT != self.generation:
            return False
        if self.inside:
            return position_of(version) > self.start
        return (block, arrived) >= (self.block, self.arrived)


def void_from(ledger: SourceLedger) -> Iterator[Void]:
    """What is void of a source: one a generation that has a higher one."""
    cut = {(row.generation, row.end) for row in ledger.lost if row.kind is LostKind.TRIMMED}
    for own in ledger.starts:
        above = [
            (start.start, (start.generation, start.start) not in cut, start.start_clock)
            for start in ledger.starts
            if start.generation > own.generation
        ]
        if above:  # of two at one offset, the one inside a slice goes further
            yield _void(own, *min(above))


def _void(own: StartRow, start: int, between_slices: bool, clock: int) -> Void:
    size = Rules.from_json(own.rules).slice_records
    if start <= own.start:
        return Void(own.generation, start, 0, 0, inside=False)
    # A slice that begins within a block does so because the clock has come to its ten minutes.
    arrived = 0 if start % size == 0 else (clock // ARRIVED_MS + 1) * (ARRIVED_MS // 1000)
    return Void(own.generation, start, start // size, arrived, inside=not between_slices)


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
