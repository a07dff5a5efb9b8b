"""What the sink does not have yet of one source: slices and dead letters, taken for a flush as one capture (C7)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.cells import CellRows, PinMinuteRows, rows_of
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import DeadLetterRow, LedgerRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.streams.counting.aggregates import AGGREGATES, Aggregate, SliceVersion, counted_by
from pintally.streams.counting.outcomes import Judged
from pintally.streams.counting.slices import Piece, SliceId
from pintally.streams.counting.unflushed import NOTHING, Unflushed

LETTER_BYTES = 100  # about a cell's room in memory; a dead letter may take that of ten thousand


class SliceState:
    """One slice in memory, from its first offset to `position`: its outcomes and its aggregates."""

    def __init__(self, piece: Piece, rules: Rules, keys: UserKeys = NO_KEYS) -> None:
        self.slice_id: SliceId = piece.slice_id
        self.start = self.position = piece.start
        self.start_stream_time = self.stream_time = piece.stream_time_before  # ms
        self.aggregates: list[Aggregate] = [make(rules, keys=keys) for make in counted_by(rules)]
        self.flushed = piece.start  # position of the last ledger row that was acknowledged; the start: none was
        self._counted = self._duplicate = self._late = self._invalid = self._gaps = 0
        self.unflushed = self.in_flight = NOTHING  # what no flush has taken, and what one is taking

    @classmethod
    def of(cls, row: LedgerRow, rules: Rules, keys: UserKeys = NO_KEYS) -> "SliceState":
        """A slice as it is flushed, without its cells: none of them may change any more."""
        state = cls.__new__(cls)
        state.slice_id = SliceId(row.slice_block, row.arrived_at)
        state.start, state.start_stream_time = row.start, row.start_stream_time
        state.position = state.flushed = row.position
        state.stream_time = row.stream_time
        counted = [(make, row.check_sums.get(make.rows.table)) for make in AGGREGATES]
        state.aggregates = [make(rules, check_sum, keys) for make, check_sum in counted if check_sum is not None]
        outcomes = row.outcomes
        state._counted, state._duplicate, state._late = outcomes.counted, outcomes.duplicate, outcomes.late
        state._invalid, state._gaps = outcomes.invalid, outcomes.gaps
        state.unflushed = state.in_flight = NOTHING
        return state

    @property
    def outcomes(self) -> Outcomes:
        """The outcomes of [start, position)."""
        return Outcomes(self._counted, self._duplicate, self._late, self._invalid, self._gaps)

    @property
    def pending(self) -> int:
        """Cells that are not flushed; see Aggregate.pending."""
        return sum(aggregate.pending for aggregate in self.aggregates)

    @property
    def nbytes(self) -> int:
        """Bytes of the aggregates."""
        return sum(aggregate.nbytes for aggregate in self.aggregates)

    def add(self, judged: Judged, counted: NDArray[np.intp]) -> None:
        """Count the records at these indexes of a chunk."""
        for aggregate in self.aggregates:
            aggregate.add(judged, counted)

    def advance(self, piece: Piece, counted: int, duplicate: int, late: int, invalid: int) -> None:
        """Add the outcomes of a piece that starts at `position`."""
        self._counted += counted
        self._duplicate += duplicate
        self._late += late
        self._invalid += invalid
        self._gaps += piece.gaps
        self.position, self.stream_time = piece.end, piece.stream_time

    def saw(self, records: Unflushed) -> None:
        """There are these records to flush."""
        self.unflushed += records

    def take_unflushed(self) -> Unflushed:
        """What a flush takes now."""
        self.in_flight, self.unflushed = self.unflushed, NOTHING
        return self.in_flight

    def put_back(self) -> None:
        """The flush failed."""
        self.unflushed, self.in_flight = self.unflushed + self.in_flight, NOTHING

    def take_dirty(self, source: Source, action: Action, epoch: int) -> list[CellRows]:
        """The rows of the dirty cells, which are in flight from now on; their version is the slice's position."""
        at = SliceVersion(source, action, self.slice_id, epoch, self.position)
        return [aggregate.take_dirty(at) for aggregate in self.aggregates]

    def ledger_row(self, source: Source, epoch: int, rules: Rules) -> LedgerRow:
        """The flush, once the cells that were taken just now are durable."""
        sums = {aggregate.rows.table: aggregate.sum for aggregate in self.aggregates}
        return LedgerRow(
            source=source,
            slice_block=self.slice_id.slice_block,
            arrived_at=self.slice_id.arrived_at_seconds,
            start=self.start,
            start_stream_time=self.start_stream_time,
            position=self.position,
            stream_time=self.stream_time,
            outcomes=self.outcomes,
            cells_sum=sums.pop(PinMinuteRows.table),
            epoch=epoch,
            rules=rules.fingerprint,
            sums=sums,
        )


@dataclass(frozen=True, slots=True)
class Capture:
    """What one flush takes of a source, all of one moment."""

    source: Source
    cells: tuple[CellRows, ...]  # of each aggregate the dirty cells, with the slice's position at that moment
    ledger: tuple[LedgerRow, ...]  # one a slice with something new since its last acknowledged row, by start
    dead_letters: tuple[DeadLetterRow, ...]  # those not yet taken, by offset
    slices: tuple[SliceState, ...] = field(repr=False)  # those of `ledger`, in its order
    taken: Unflushed = NOTHING  # of all records of it


def room_of(letter: DeadLetterRow) -> int:
    """The room that a dead letter takes in memory, in cells."""
    headers = sum(LETTER_BYTES + len(name) + len(value or b"") for name, value in letter.headers)
    return 1 + (len(letter.key or b"") + len(letter.value or b"") + headers) // LETTER_BYTES


class Pending:
    """The slices of one source that are in memory: those that have ended, and the open one at the position."""

    def __init__(
        self,
        source: Source,
        action: Action,
        rules: Rules,
        epoch: int,
        flushed: int | None = None,
        keys: UserKeys = NO_KEYS,
        place: tuple[int, int] | None = None,
    ) -> None:
        self.source = source
        self.action = action
        self.rules = rules
        self._keys = keys
        self.epoch = epoch
        self.version = flushed  # highest version of a ledger row that is known to be durable
        self.place = place  # block and bucket of its slice, if known
        self._ended: list[SliceState] = []  # can never change again, and are not all acknowledged; by start
        self._ended_rows = 0
        self._open: SliceState | None = None
        self._letters: list[DeadLetterRow] = []  # not taken by a flush, by offset
        self._letter_rows = 0  # the room of all letters, taken or not, in cells
        self._in_flight: Capture | None = None

    def resume(self, row: LedgerRow) -> None:
        """Go on with a slice as it is flushed; only offsets without a record may still come to it."""
        self._open = SliceState.of(row, self.rules, self._keys)

    @property
    def rows(self) -> int:
        """Cells and dead letters that are not flushed; a letter counts as the cells whose room it takes.

        Never too low; see Aggregate.pending.
        """
        open_cells = self._open.pending if self._open else 0
        return self._ended_rows + open_cells + self._letter_rows

    @property
    def nbytes(self) -> int:
        """Bytes of all cells."""
        return sum(state.nbytes for state in self._slices(ended_only=False))

    @property
    def oldest(self) -> int | None:
        """The lowest Kafka timestamp of what is not flushed, in ms."""
        return sum((state.unflushed + state.in_flight for state in self._slices(ended_only=False)), NOTHING).oldest

    def slice_state(self, piece: Piece) -> SliceState:
        """The slice that a piece belongs to: the open one, or a new one that ends it."""
        if self._open and self._open.slice_id != piece.slice_id:
            self.end()
        if not self._open:
            self._open = SliceState(piece, self.rules, self._keys)
        return self._open

    def end(self) -> None:
        """The open slice can never change again."""
        state, self._open = self._open, None
        if state and state.position > state.flushed:  # else the sink has all of it
            for aggregate in state.aggregates:
                aggregate.end()
            self._ended.append(state)
            self._ended_rows += state.pending

    def add_dead_letters(self, letters: Iterable[DeadLetterRow]) -> None:
        """Add dead letters of the open slice, by offset."""
        before = len(self._letters)
        self._letters.extend(letters)
        self._letter_rows += sum(map(room_of, self._letters[before:]))

    def capture(self, ended_only: bool) -> Capture | None:
        """Take what is not flushed; None if there is nothing. Raises RuntimeError while another one is in flight."""
        if self._in_flight:
            raise RuntimeError(f"{self.source}: a capture is in flight; acknowledge it or merge it back first")
        slices = tuple(state for state in self._slices(ended_only) if state.position > state.flushed)
        if not slices:
            return None
        taken = [rows for state in slices for rows in state.take_dirty(self.source, self.action, self.epoch)]
        self._in_flight = Capture(
            self.source,
            tuple(rows_of(aggregate.rows, taken) for aggregate in counted_by(self.rules)),
            tuple(state.ledger_row(self.source, self.epoch, self.rules) for state in slices),
            self._take_dead_letters(slices[-1].position),
            slices,
            sum((state.take_unflushed() for state in slices), NOTHING),
        )
        return self._in_flight

    def acknowledge(self, capture: Capture) -> None:
        """The sink has all of it: slices that have ended leave memory."""
        self._answered(capture)
        self._letter_rows -= sum(map(room_of, capture.dead_letters))
        for state, row in zip(capture.slices, capture.ledger, strict=True):
            for aggregate in state.aggregates:
                aggregate.mark_flushed()
            state.flushed = row.position
            state.in_flight = NOTHING
        newest = max(capture.ledger, key=lambda row: row.version)
        if newest.version > (self.version or 0):
            self.version, self.place = newest.version, (newest.slice_block, newest.arrived_at)
        self._ended = [state for state in self._ended if state.position > state.flushed]
        self._ended_rows = sum(state.pending for state in self._ended)

    def merge_back(self, capture: Capture) -> None:
        """The sink may have none of it: all of it is to be flushed again, with newer counts where there are."""
        self._answered(capture)
        for state in capture.slices:
            for aggregate in state.aggregates:
                aggregate.merge_back()
            state.put_back()
        self._letters[:0] = capture.dead_letters

    def _answered(self, capture: Capture) -> None:
        if self._in_flight is not capture:
            raise RuntimeError(f"{self.source}: this capture is not in flight")
        self._in_flight = None

    def _slices(self, ended_only: bool) -> list[SliceState]:
        return self._ended if ended_only or not self._open else [*self._ended, self._open]

    def _take_dead_letters(self, below: int) -> tuple[DeadLetterRow, ...]:
        """The dead letters of offsets below this one; every slice that has some is part of the capture."""
        n = sum(letter.offset < below for letter in self._letters)
        letters, self._letters = tuple(self._letters[:n]), self._letters[n:]
        return letters
