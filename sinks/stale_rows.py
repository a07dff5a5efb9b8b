"""Which rows are superseded by a later epoch of the rules. Pure; `clickhouse/stale_rows.py` deletes them."""

from collections.abc import Iterator
from dataclasses import dataclass

from pintally.schemas.rows import EPOCH_SHIFT, LedgerRow, LostKind, SourceLedger, StartRow, position_of
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules


@dataclass(frozen=True, slots=True)
class Superseded:
    """The superseded rows of one source and epoch. The view `superseded_slices` is the same in SQL."""

    epoch: int
    start: int  # offset: slices that start here or later
    slice_block: int  # as cells name them: from this block on,
    arrived_at: int  # in that block from this `arrived_at` (seconds since 1970) on
    inside: bool  # the epoch start lies inside a slice: versions tell what is superseded

    def has_row(self, row: LedgerRow) -> bool:
        """Whether a ledger row of the source is superseded."""
        return row.epoch == self.epoch and row.start >= self.start

    def has_cell(self, slice_block: int, arrived_at: int, version: int) -> bool:
        """Whether a cell of the source is superseded."""
        if version >> EPOCH_SHIFT != self.epoch:
            return False
        if self.inside:
            return position_of(version) > self.start
        return (slice_block, arrived_at) >= (self.slice_block, self.arrived_at)


def superseded_from(ledger: SourceLedger) -> Iterator[Superseded]:
    """Yields the superseded rows of a source: one entry for each epoch that has a higher one."""
    cut = {(row.epoch, row.end) for row in ledger.lost if row.kind is LostKind.TRIMMED}
    for own in ledger.starts:
        above = [
            (start.start, (start.epoch, start.start) not in cut, start.start_stream_time)
            for start in ledger.starts
            if start.epoch > own.epoch
        ]
        if above:  # of two at one offset, the one inside a slice goes further
            yield _superseded(own, *min(above))


def _superseded(own: StartRow, start: int, between_slices: bool, stream_time: int) -> Superseded:
    size = Rules.from_json(own.rules).slice_records
    if start <= own.start:
        return Superseded(own.epoch, start, 0, 0, inside=False)
    # A slice that begins within a block does so because the stream time has come to its ten minutes.
    arrived_at = 0 if start % size == 0 else (stream_time // ARRIVAL_BUCKET_MS + 1) * (ARRIVAL_BUCKET_MS // 1000)
    return Superseded(own.epoch, start, start // size, arrived_at, inside=not between_slices)
