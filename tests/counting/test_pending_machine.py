"""C6 and C7 as a machine: whatever flushes do with what is not flushed, nothing is lost or claimed early."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as bounds
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pintally.schemas.label_column import UNKNOWN
from pintally.schemas.rows import DeadLetterRow, position_of
from pintally.schemas.rules import Rules
from pintally.streams.counting.aggregates import pin_minutes
from pintally.streams.counting.pending import LETTER_BYTES, Capture, Pending, room_of
from pintally.streams.counting.slices import Piece, SliceId
from tests.support.cells import Counted, judged, only_pin_minutes
from tests.support.logs import ACTION, SOURCE, T0
from tests.support.reference import Store

EPOCH = 3
MINUTES = (28_333_340, 28_333_341)
COUNTED = st.lists(st.tuples(st.sampled_from(MINUTES), st.sampled_from([1, 2, 2**64 - 1])), max_size=4)
PARTS = st.sampled_from(["nothing", "half", "all", "all"])
Cell = tuple[int, int]  # minute since 1970, pin


@dataclass
class Slice:
    """The truth of one slice: each counted record by offset."""

    slice_id: SliceId
    start: int
    position: int
    counted: dict[int, Cell] = field(default_factory=dict)
    letters: list[int] = field(default_factory=list)  # offsets

    def counts(self, below: int) -> Counter[Cell]:
        """Counts of the cells over the offsets below this one."""
        return Counter(cell for offset, cell in self.counted.items() if offset < below)


@dataclass
class Attempt:
    """A capture on its way to the sink, and what of it has arrived."""

    capture: Capture
    arrived_at: str = "nothing"  # "nothing", "cells", "letters", "ledger": each includes those before it


class Flushes(RuleBasedStateMachine):
    """One source, a sink of plain dicts, and flushes that fail in every way."""

    def __init__(self) -> None:
        super().__init__()
        self.pending = Pending(SOURCE, ACTION, Rules(), EPOCH)
        self.sink = Store()
        self.slices: list[Slice] = []
        self.is_open = False
        self.position = 0
        self.in_flight: Attempt | None = None
        self.lost_from_sight: list[Attempt] = []  # merged back, but may arrive all the same
        self.known: dict[tuple[SliceId, Cell], int] = {}  # acknowledged counts
        self.sizes: dict[int, int] = {}  # bytes of the letters, by offset
        self.letters_known: set[int] = set()  # acknowledged

    @rule(counted=COUNTED, letters=st.lists(st.integers(0, 3 * LETTER_BYTES), max_size=2), gaps=st.integers(0, 1))
    def fold_a_piece(self, counted: list[Cell], letters: list[int], gaps: int) -> None:
        """As SourceFold does: count, advance, add dead letters."""
        if not self.is_open:
            self.begin()
        truth, start = self.slices[-1], self.position
        n = len(counted) + len(letters)
        end = start + max(1, n + gaps)
        piece = Piece(truth.slice_id, start, end, 0, n, T0 + start, T0 + end)
        state = self.pending.slice_state(piece)
        state.add(judged([Counted(*cell) for cell in counted]), np.arange(len(counted)))
        state.advance(piece, len(counted), 0, 0, len(letters))
        rows = [self.letter(start + len(counted) + i, size) for i, size in enumerate(letters)]
        self.pending.add_dead_letters(rows)
        truth.counted |= {start + i: cell for i, cell in enumerate(counted)}
        truth.letters += [row.offset for row in rows]
        truth.position = self.position = end

    @precondition(lambda self: self.is_open)
    @rule(block_is_full=st.booleans())
    def end_the_slice(self, block_is_full: bool) -> None:
        """At a block's end at once; where the clock passes ten minutes, the next piece ends it."""
        if block_is_full:
            self.pending.end()
            self.is_open = False
        else:
            self.begin()
            self.fold_a_piece([], [], 0)

    @precondition(lambda self: not self.in_flight)
    @rule(ended_only=st.booleans())
    def capture(self, ended_only: bool) -> None:
        """Everything since the last acknowledged row, of one moment."""
        capture = self.pending.capture(ended_only)
        wanted = self.slices[:-1] if ended_only and self.is_open else self.slices
        if capture is None:
            assert not self.behind(wanted)
            return
        self.in_flight = Attempt(capture)
        assert [row.start for row in capture.ledger] == [each.start for each in self.behind(wanted)]
        assert [row.position for row in capture.ledger] == [each.position for each in self.behind(wanted)]
        below = capture.ledger[-1].position
        owed = [o for each in self.slices for o in each.letters if o < below and o not in self.letters_known]
        assert [letter.offset for letter in capture.dead_letters] == owed
        with pytest.raises(RuntimeError):  # one flush is in flight
            self.pending.capture(ended_only)

    @precondition(lambda self: self.in_flight and self.in_flight.arrived_at != "ledger")
    @rule(cells=PARTS, letters=PARTS, ledger=PARTS)
    def write(self, cells: str, letters: str, ledger: str) -> None:
        """Cells, then letters, then ledger rows; a step begins when the one before is done."""
        assert self.in_flight
        self.insert(self.in_flight, cells, letters, ledger)

    @precondition(lambda self: self.lost_from_sight)
    @rule(data=st.data(), cells=PARTS, letters=PARTS, ledger=PARTS)
    def write_late(self, data: st.DataObject, cells: str, letters: str, ledger: str) -> None:
        """An insert that was given up arrives after newer ones."""
        self.insert(data.draw(st.sampled_from(self.lost_from_sight)), cells, letters, ledger)

    @precondition(lambda self: self.in_flight)
    @rule(meanwhile=st.lists(st.tuples(COUNTED, st.booleans()), max_size=2))
    def acknowledge(self, meanwhile: list[tuple[list[Cell], bool]]) -> None:
        """The sink has the rest of it too, and answers; until then the fold went on."""
        assert self.in_flight
        for counted, ends in meanwhile:
            self.fold_a_piece(counted, [], 0)
            if ends:
                self.end_the_slice(block_is_full=True)
        self.insert(self.in_flight, "all", "all", "all")
        capture, self.in_flight = self.in_flight.capture, None
        self.pending.acknowledge(capture)
        for row in capture.ledger:
            truth = self.slice_at(row.start)
            self.known |= {(truth.slice_id, cell): n for cell, n in truth.counts(row.position).items()}
        self.letters_known |= {letter.offset for letter in capture.dead_letters}
        assert self.pending.version == max(row.version for row in capture.ledger)
        if not self.behind(self.slices):
            self.check_all_is_there()

    @precondition(lambda self: self.in_flight)
    @rule()
    def merge_back(self) -> None:
        """The flush failed, or its answer was lost."""
        assert self.in_flight
        attempt, self.in_flight = self.in_flight, None
        self.pending.merge_back(attempt.capture)
        self.lost_from_sight.append(attempt)
        with pytest.raises(RuntimeError):
            self.pending.acknowledge(attempt.capture)

    @invariant()
    def every_ledger_row_is_backed(self) -> None:
        """By cells at least as new, and by all its letters."""
        for row in self.sink.ledger.values():
            truth = self.slice_at(row.start)
            counts = truth.counts(row.position)
            assert row.cells_sum == row.outcomes.counted == counts.total()
            for cell, count in counts.items():
                assert self.sink_count(truth, cell) >= count
            assert {offset for offset in truth.letters if offset < row.position} <= self.sink.dead_letters.keys()

    @invariant()
    def every_cell_is_what_was_counted_below_its_version(self) -> None:
        """Counts are absolute."""
        truths = {(t.slice_id.slice_block, t.slice_id.arrived_at_seconds): t for t in self.slices}
        for (slice_block, arrived_at, minute, pin, *_), (version, count, _) in self.sink.cells.items():
            assert truths[slice_block, arrived_at].counts(position_of(version))[minute // 60, pin] == count

    @invariant()
    def memory_is_never_thought_emptier_than_it_is(self) -> None:
        """Else the budget would let more in than there is room for."""
        cells = sum(
            self.known.get((truth.slice_id, cell), 0) != count
            for truth in self.slices
            for cell, count in truth.counts(self.position).items()
        )
        letters = sum(room_of(self.letter_at(o)) for t in self.slices for o in t.letters if o not in self.letters_known)
        assert self.pending.rows >= cells + letters

    def teardown(self) -> None:
        """A sink that works at last gets all that is left."""
        if self.in_flight:
            self.merge_back()
        self.capture(ended_only=False)
        if self.in_flight:
            self.acknowledge([])
        self.check_all_is_there()

    def check_all_is_there(self) -> None:
        """The sink has the truth, and memory owes it nothing."""
        assert self.pending.capture(ended_only=False) is None
        assert self.pending.rows == 0
        assert self.is_open or self.pending.nbytes == 0
        for truth in self.slices:
            for cell, count in truth.counts(self.position).items():
                assert self.sink_count(truth, cell) == count
            row = self.sink.ledger[truth.slice_id.slice_block, truth.slice_id.arrived_at_seconds]
            assert (row.start, row.position) == (truth.start, truth.position)
        assert self.sink.dead_letters.keys() == {offset for truth in self.slices for offset in truth.letters}

    def begin(self) -> None:
        """A slice of the next ten minutes begins at the position."""
        self.slices.append(Slice(SliceId(0, T0 // 1000 + 600 * len(self.slices)), self.position, self.position))
        self.is_open = True

    def letter(self, offset: int, size: int) -> DeadLetterRow:
        """A invalid record of this size."""
        self.sizes[offset] = size
        return self.letter_at(offset)

    def letter_at(self, offset: int) -> DeadLetterRow:
        """The invalid record at an offset."""
        return DeadLetterRow(SOURCE, offset, T0, "invalid", "tested", None, b"x" * self.sizes[offset], ())

    def insert(self, attempt: Attempt, cells: str, letters: str, ledger: str) -> None:
        """As much as these say."""
        capture = attempt.capture
        rows = only_pin_minutes(capture.cells)
        n = {"nothing": 0, "half": len(rows) // 2, "all": len(rows)}[cells]
        self.sink.write_cells(rows.select(slice(n)))
        if cells != "all" and attempt.arrived_at == "nothing":
            return
        attempt.arrived_at = "cells" if attempt.arrived_at == "nothing" else attempt.arrived_at
        some = {"nothing": 0, "half": len(capture.dead_letters) // 2, "all": None}[letters]
        self.sink.write_dead_letters(capture.dead_letters[:some])
        if letters != "all" and attempt.arrived_at == "cells":
            return
        attempt.arrived_at = "letters" if attempt.arrived_at == "cells" else attempt.arrived_at
        n = {"nothing": 0, "half": len(capture.ledger) // 2, "all": len(capture.ledger)}[ledger]
        self.sink.write_ledger(capture.ledger[:n])
        if ledger == "all":
            attempt.arrived_at = "ledger"

    def behind(self, slices: list[Slice]) -> list[Slice]:
        """Slices that reach beyond the last acknowledged row."""
        reached = self.pending.version
        return [each for each in slices if reached is None or each.position > position_of(reached)]

    def slice_at(self, start: int) -> Slice:
        """The slice that starts there."""
        return next(each for each in self.slices if each.start == start)

    def sink_count(self, truth: Slice, cell: Cell) -> int:
        """What the sink says of a cell."""
        minute, pin = cell
        key = (truth.slice_id.slice_block, truth.slice_id.arrived_at_seconds, minute * 60, pin, UNKNOWN, UNKNOWN)
        return self.sink.cells.get(key, (0, 0))[1]


@pytest.mark.parametrize("buffer_records", [5, pin_minutes.BUFFER_RECORDS])
def test_the_sink_gets_all_and_the_ledger_claims_no_more(buffer_records: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pin_minutes, "BUFFER_RECORDS", buffer_records)
    run_state_machine_as_test(
        Flushes,
        settings=bounds(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
