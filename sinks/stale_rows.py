"""Which rows are superseded by a later generation of the rules. Pure; `clickhouse/stale_rows.py` deletes them."""

from collections.abc import Iterator
from dataclasses import dataclass

from pintally.schemas.rows import GENERATION_SHIFT, LedgerRow, LostKind, SourceLedger, StartRow, position_of
from pintally.schemas.rules import ARRIVED_MS, Rules


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
