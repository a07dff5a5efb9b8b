"""What a sink does not know yet of one source, how a flush takes it out, and what the flush's answer does (C7)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pintally.schemas.actions import Action
from pintally.schemas.rows import CellRows, DeadLetterRow, LedgerRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.slice_state import Tally
from pintally.streams.counting.slices import Piece

LETTER_BYTES = 100  # about a cell's room in memory; a dead letter may take that of ten thousand


@dataclass(frozen=True, slots=True)
class Capture:
    """What one flush takes out of a source, all of one moment."""

    source: Source
    cells: CellRows  # absolute counts of dirty cells; version = epoch and the slice's position at that moment
    ledger: tuple[LedgerRow, ...]  # one a slice with something new since its last acknowledged row, by start
    dead_letters: tuple[DeadLetterRow, ...]  # those not yet handed out, by offset
    tallies: tuple[Tally, ...] = field(repr=False)  # the slices of `ledger`, in its order


def room_of(letter: DeadLetterRow) -> int:
    """The room that a dead letter takes in memory, in cells."""
    headers = sum(LETTER_BYTES + len(name) + len(value or b"") for name, value in letter.headers)
    return 1 + (len(letter.key or b"") + len(letter.value or b"") + headers) // LETTER_BYTES


class Pending:
    """The slices of one source that are in memory: those that have ended, and the open one at the position."""

    def __init__(self, source: Source, action: Action, rules: Rules, epoch: int, recorded: int | None = None) -> None:
        self.source = source
        self.action = action
        self.rules = rules
        self.epoch = epoch
        self.version = recorded  # highest version of a ledger row that is known to be durable
        self._ended: list[Tally] = []  # can never change again, and are not all acknowledged; by start
        self._ended_rows = 0
        self._open: Tally | None = None
        self._letters: list[DeadLetterRow] = []  # not handed out, by offset
        self._letter_rows = 0  # the room of all letters, handed out or not, in cells
        self._in_flight: Capture | None = None

    def resume(self, row: LedgerRow) -> None:
        """Go on with a slice as it is recorded; only offsets without a record may still come to it."""
        self._open = Tally.of(row)

    @property
    def rows(self) -> int:
        """Cells and dead letters that the sink does not know, a letter as the cells whose room it takes.

        Never too low; see Cells.pending.
        """
        open_cells = self._open.cells.pending if self._open else 0
        return self._ended_rows + open_cells + self._letter_rows

    @property
    def nbytes(self) -> int:
        """Bytes of all cells."""
        return sum(tally.cells.nbytes for tally in self._slices(ended_only=False))

    def tally(self, piece: Piece) -> Tally:
        """The slice that a piece belongs to: the open one, or a new one that ends it."""
        if self._open and self._open.slice_id != piece.slice_id:
            self.end()
        if not self._open:
            self._open = Tally(piece)
        return self._open

    def end(self) -> None:
        """The open slice can never change again."""
        tally, self._open = self._open, None
        if tally and tally.position > tally.recorded:  # else the sink has all of it
            tally.cells.settle(end=True)
            self._ended.append(tally)
            self._ended_rows += tally.cells.pending

    def bury(self, letters: Iterable[DeadLetterRow]) -> None:
        """Dead letters of the open slice, by offset."""
        before = len(self._letters)
        self._letters.extend(letters)
        self._letter_rows += sum(map(room_of, self._letters[before:]))

    def capture(self, ended_only: bool) -> Capture | None:
        """Take out what the sink does not know, or None if it knows all; RuntimeError if another one is in flight."""
        if self._in_flight:
            raise RuntimeError(f"{self.source}: a capture is in flight; acknowledge it or merge it back first")
        tallies = tuple(tally for tally in self._slices(ended_only) if tally.position > tally.recorded)
        if not tallies:
            return None
        self._in_flight = Capture(
            self.source,
            CellRows.concat([tally.take_dirty(self.source, self.action, self.epoch) for tally in tallies]),
            tuple(tally.ledger_row(self.source, self.epoch, self.rules) for tally in tallies),
            self._hand_out(tallies[-1].position),
            tallies,
        )
        return self._in_flight

    def acknowledge(self, capture: Capture) -> None:
        """The sink has all of it: slices that have ended leave memory."""
        self._land(capture)
        self._letter_rows -= sum(map(room_of, capture.dead_letters))
        for tally, row in zip(capture.tallies, capture.ledger, strict=True):
            tally.cells.land()
            tally.recorded = row.position
        self.version = max(self.version or 0, *(row.version for row in capture.ledger))
        self._ended = [tally for tally in self._ended if tally.position > tally.recorded]
        self._ended_rows = sum(tally.cells.pending for tally in self._ended)

    def merge_back(self, capture: Capture) -> None:
        """The sink may have none of it: all of it is to be flushed again, with newer counts where there are."""
        self._land(capture)
        for tally in capture.tallies:
            tally.cells.merge_back()
        self._letters[:0] = capture.dead_letters

    def _land(self, capture: Capture) -> None:
        if self._in_flight is not capture:
            raise RuntimeError(f"{self.source}: this capture is not in flight")
        self._in_flight = None

    def _slices(self, ended_only: bool) -> list[Tally]:
        return self._ended if ended_only or not self._open else [*self._ended, self._open]

    def _hand_out(self, below: int) -> tuple[DeadLetterRow, ...]:
        """The dead letters of offsets below this one; every slice that has some is part of the capture."""
        n = sum(letter.offset < below for letter in self._letters)
        letters, self._letters = tuple(self._letters[:n]), self._letters[n:]
        return letters
