"""What is known of one slice: where it lies, its outcomes and its cells."""

import numpy as np

from pintally.schemas.actions import Action
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import CellRows, LedgerRow, version_of
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.cells import Cells
from pintally.streams.counting.slices import Piece, SliceId


class Tally:
    """One slice in memory, from its first offset to `position`."""

    def __init__(self, piece: Piece) -> None:
        self.slice_id: SliceId = piece.slice_id
        self.start = self.position = piece.start
        self.start_stream_time = self.stream_time = piece.stream_time_before  # ms
        self.cells = Cells()
        self.recorded = piece.start  # position of the last ledger row that was acknowledged; the start: none was
        self._counted = self._duplicate = self._late = self._invalid = self._gaps = 0

    @classmethod
    def of(cls, row: LedgerRow) -> "Tally":
        """A slice as it is recorded, without its cells: none of them may change any more."""
        tally = cls.__new__(cls)
        tally.slice_id = SliceId(row.slice_block, row.arrived_at)
        tally.start, tally.start_stream_time = row.start, row.start_stream_time
        tally.position = tally.recorded = row.position
        tally.stream_time = row.stream_time
        tally.cells = Cells()
        tally.cells.sum = row.cells_sum
        outcomes = row.outcomes
        tally._counted, tally._duplicate, tally._late = outcomes.counted, outcomes.duplicate, outcomes.late
        tally._invalid, tally._gaps = outcomes.invalid, outcomes.gaps
        return tally

    @property
    def outcomes(self) -> Outcomes:
        """The outcomes of [start, position)."""
        return Outcomes(self._counted, self._duplicate, self._late, self._invalid, self._gaps)

    def advance(self, piece: Piece, counted: int, duplicate: int, late: int, invalid: int) -> None:
        """Take in the outcomes of a piece that starts at `position`."""
        self._counted += counted
        self._duplicate += duplicate
        self._late += late
        self._invalid += invalid
        self._gaps += piece.end - piece.start - (piece.last - piece.first)
        self.position, self.stream_time = piece.end, piece.stream_time

    def ledger_row(self, source: Source, epoch: int, rules: Rules) -> LedgerRow:
        """What is to be recorded once the cells taken at this moment are durable. The cells must be settled."""
        return LedgerRow(
            source=source,
            slice_block=self.slice_id.slice_block,
            arrived_at=self.slice_id.arrived_at_seconds,
            start=self.start,
            start_stream_time=self.start_stream_time,
            position=self.position,
            stream_time=self.stream_time,
            outcomes=self.outcomes,
            cells_sum=self.cells.sum,
            epoch=epoch,
            rules=rules.fingerprint,
        )

    def take_dirty(self, source: Source, action: Action, epoch: int) -> CellRows:
        """The rows of the dirty cells, which are in flight from now on; their version is the slice's position."""
        cells = self.cells.take_dirty()
        n = len(cells)
        return CellRows(
            source=np.full(n, source.id, np.uint64),
            slice_block=np.full(n, self.slice_id.slice_block, np.uint32),
            arrived_at=np.full(n, self.slice_id.arrived_at_seconds, np.uint32),
            action=np.full(n, action, np.uint8),
            minute=cells.minute * np.uint32(60),
            pin_id=cells.pin_id,
            count=cells.count.astype(np.uint64),
            version=np.full(n, version_of(epoch, self.position), np.uint64),
        )
