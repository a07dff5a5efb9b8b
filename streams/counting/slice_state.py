"""What is known of one slice: where it lies, its fates and its cells."""

import numpy as np

from pintally.schemas.actions import Action
from pintally.schemas.fates import Fates
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
        self.start_clock = self.clock = piece.clock_before  # ms
        self.cells = Cells()
        self.recorded = piece.start  # position of the last ledger row that was acknowledged; the start: none was
        self._counted = self._duplicate = self._late = self._dead = self._absent = 0

    @classmethod
    def of(cls, row: LedgerRow) -> "Tally":
        """A slice as it is recorded, without its cells: none of them may change any more."""
        tally = cls.__new__(cls)
        tally.slice_id = SliceId(row.block, row.arrived)
        tally.start, tally.start_clock = row.start, row.start_clock
        tally.position = tally.recorded = row.position
        tally.clock = row.clock
        tally.cells = Cells()
        tally.cells.sum = row.cells_sum
        fates = row.fates
        tally._counted, tally._duplicate, tally._late = fates.counted, fates.duplicate, fates.late
        tally._dead, tally._absent = fates.dead, fates.absent
        return tally

    @property
    def fates(self) -> Fates:
        """The fates of [start, position)."""
        return Fates(self._counted, self._duplicate, self._late, self._dead, self._absent)

    def advance(self, piece: Piece, counted: int, duplicate: int, late: int, dead: int) -> None:
        """Take in the fates of a piece that starts at `position`."""
        self._counted += counted
        self._duplicate += duplicate
        self._late += late
        self._dead += dead
        self._absent += piece.end - piece.start - (piece.last - piece.first)
        self.position, self.clock = piece.end, piece.clock

    def ledger_row(self, source: Source, generation: int, rules: Rules) -> LedgerRow:
        """What is to be recorded once the cells taken at this moment are durable. The cells must be settled."""
        return LedgerRow(
            source=source,
            block=self.slice_id.block,
            arrived=self.slice_id.arrived_seconds,
            start=self.start,
            start_clock=self.start_clock,
            position=self.position,
            clock=self.clock,
            fates=self.fates,
            cells_sum=self.cells.sum,
            generation=generation,
            rules=rules.fingerprint,
        )

    def take_dirty(self, source: Source, action: Action, generation: int) -> CellRows:
        """The rows of the dirty cells, which are in flight from now on; their version is the slice's position."""
        cells = self.cells.take_dirty()
        n = len(cells)
        return CellRows(
            source=np.full(n, source.id, np.uint64),
            block=np.full(n, self.slice_id.block, np.uint32),
            arrived=np.full(n, self.slice_id.arrived_seconds, np.uint32),
            action=np.full(n, action, np.uint8),
            minute=cells.minute * np.uint32(60),
            pin_id=cells.pin_id,
            count=cells.count.astype(np.uint64),
            version=np.full(n, version_of(generation, self.position), np.uint64),
        )
