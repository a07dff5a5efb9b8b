"""The fold against the reference: no chunk border, crash, failed flush or schedule of flushes changes what it says."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pintally.schemas.rows import SourceLedger, StartRow
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.streams.counting.aggregates import slice_labels
from pintally.streams.counting.fold import Capture, ChunkRefused, RecordsGone, SourceFold
from pintally.streams.counting.log import Chunk
from pintally.streams.counting.recovery import base_of, cut_base, follow
from pintally.streams.counting.slices import Base
from tests.support.cells import only_pin_minutes
from tests.support.logs import ACTION, MINUTE, SOURCE, T0, Log, borders, chunks, record, ruled_logs
from tests.support.reference import LogRecord, Recount, Store, recount

EPOCH = 3
NAMED = 2  # labels of a slice that count under their own name: as few, because slices are small
MASK = 2**48 - 1


@pytest.fixture(autouse=True, scope="module")
def few_labels_have_a_name() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slice_labels, "MAX_SLICE_LABELS", NAMED)
        yield


@dataclass
class Worker:
    """A fold and the sink it flushes to; the sink outlives it."""

    rules: Rules
    log: Log
    expected: Recount
    store: Store = field(default_factory=Store)
    in_flight: Capture | None = None
    zombies: list[Capture] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fold = self._begin(Base(0, 0, 0, 0))

    def _begin(self, base: Base) -> SourceFold:
        return SourceFold(SOURCE, ACTION, self.rules, EPOCH, base)

    def crash(self) -> None:
        """All memory is lost; a new fold begins at the base that the ledger gives (C13 to C15)."""
        start = StartRow(SOURCE, EPOCH, 0, 0, self.rules.to_json())
        rows = tuple(sorted(self.store.ledger.values(), key=lambda row: row.start))
        self.fold = self._begin(base_of(follow(SourceLedger((start,), rows))))
        self.zombies += [self.in_flight] if self.in_flight else []
        self.in_flight = None

    def wake_zombie(self) -> None:
        """A flush of a worker that was given up long ago arrives after all."""
        if self.zombies:
            self._write(self.zombies.pop(), 3)

    def capture(self, ended_only: bool = False) -> None:
        if self.in_flight is None:
            promised = self.fold.pending_cells
            self.in_flight = self.fold.capture(ended_only)
            if self.in_flight:
                assert sum(map(len, self.in_flight.cells)) + len(self.in_flight.dead_letters) <= promised

    def answer(self, steps_done: int) -> None:
        """The flush's answer: of cells, dead letters and ledger the first `steps_done` arrived; 3 is success."""
        capture, self.in_flight = self.in_flight, None
        if capture is None:
            return
        self._write(capture, steps_done)
        if steps_done >= 3:
            self.fold.acknowledge(capture)
        else:
            self.fold.merge_back(capture)

    def _write(self, capture: Capture, steps_done: int) -> None:
        if steps_done >= 1:
            self.store.write_cells(only_pin_minutes(capture.cells))
            self._check_cells(capture)
        if steps_done >= 2:
            self.store.write_dead_letters(capture.dead_letters)
        if steps_done >= 3:
            self.store.write_ledger(capture.ledger)

    def _check_cells(self, capture: Capture) -> None:
        """Whoever says something of a cell at a position says the truth of that position."""
        [rows] = capture.cells
        names = ("slice_block", "arrived_at", "minute", "pin_id", "surface", "platform", "version", "events", "trusted")
        for *cell, version, events, trusted in rows.tuples(names):
            assert version >> 48 == EPOCH
            assert (events, trusted) == self.expected.values(tuple(cell), version & MASK)

    def rest(self) -> Iterator[Chunk]:
        """What is left of the log, as one chunk."""
        if self.fold.position < self.log.end:
            yield from chunks(self.log, [self.fold.position, self.log.end])

    def finish(self) -> None:
        """The rest of the log, then a flush that succeeds; nothing is left to flush."""
        for rest in self.rest():
            self.fold.fold(rest)
        self.answer(0)
        self.capture()
        self.answer(3)
        assert self.fold.capture() is None
        assert self.fold.pending_cells == 0


def worker(rules: Rules, log: Log) -> Worker:
    return Worker(rules, log, recount(log.records, 0, log.end, rules, ACTION, named=NAMED))


def agrees(store: Store, expected: Recount, rules: Rules) -> None:
    """The sink says what the reference says: cells, ledger, dead letters."""
    assert {cell: tuple(values) for cell, (_, *values) in store.cells.items()} == {
        cell: expected.values(cell) for cell in expected.counted
    }
    rows = sorted(store.ledger.values(), key=lambda row: row.start)
    assert [
        (
            row.slice_block,
            row.arrived_at,
            row.start,
            row.start_stream_time,
            row.position,
            row.stream_time,
            vars_of(row.outcomes),
            row.cells_sum,
        )
        for row in rows
    ] == [
        (
            s.slice_block,
            s.arrived_at,
            s.start,
            s.start_stream_time,
            s.position,
            s.stream_time,
            s.outcomes,
            s.outcomes["counted"],
        )
        for s in expected.slices
    ]
    assert {(row.source, row.epoch, row.rules) for row in rows} <= {(SOURCE, EPOCH, rules.fingerprint)}
    letters = sorted(store.dead_letters.values(), key=lambda letter: letter.offset)
    assert [(x.offset, x.timestamp, x.outcome, x.key, x.value, x.headers) for x in letters] == expected.dead_letters
    assert all(letter.reason for letter in letters)


def vars_of(outcomes: object) -> dict[str, int]:
    return {name: getattr(outcomes, name) for name in ("counted", "duplicate", "late", "invalid", "gaps")}


def fold_all(some: Worker, parts: Iterable[Chunk]) -> None:
    for part in parts:
        some.fold.fold(part)


@given(st.data(), ruled_logs())
@settings(max_examples=80, deadline=None)
def test_no_chunk_border_changes_a_cell_a_ledger_row_or_a_dead_letter(
    data: st.DataObject, ruled: tuple[Rules, Log]
) -> None:
    """C1 to C4."""
    rules, log = ruled
    some = worker(rules, log)
    fold_all(some, chunks(log, data.draw(borders(log))))
    some.finish()
    agrees(some.store, some.expected, rules)


@given(ruled_logs(), st.sampled_from([1, 7, 10_000]))
@settings(max_examples=50, deadline=None)
def test_chunks_of_one_of_seven_and_of_ten_thousand_say_the_same(ruled: tuple[Rules, Log], size: int) -> None:
    """C1 to C4."""
    rules, log = ruled
    some = worker(rules, log)
    fold_all(some, chunks(log, [*range(0, log.end, size), log.end]))
    some.finish()
    agrees(some.store, some.expected, rules)


ANSWERS = ["lose", "cells", "letters", "done"]
OPS = st.lists(
    st.sampled_from(["fold", "fold", "fold", "capture", "capture ended", *ANSWERS, "crash", "zombie"]), max_size=40
)


@given(st.data(), ruled_logs(), OPS)
@settings(max_examples=120, deadline=None)
def test_no_schedule_of_flushes_failures_and_crashes_changes_what_the_sink_says_in_the_end(
    data: st.DataObject, ruled: tuple[Rules, Log], ops: Sequence[str]
) -> None:
    """C6 to C9 and C13 to C15: a flush may stop after any step, and a worker after any flush."""
    rules, log = ruled
    some = worker(rules, log)
    for op in ops:
        if op == "fold" and some.fold.position < log.end:
            to = data.draw(st.integers(some.fold.position, log.end))
            fold_all(some, chunks(log, [some.fold.position, to]))
        elif op in ("capture", "capture ended"):
            some.capture(ended_only=op == "capture ended")
        elif op in ANSWERS:
            some.answer(ANSWERS.index(op))
        elif op == "crash":
            some.crash()
        elif op == "zombie":
            some.wake_zombie()
    some.finish()
    agrees(some.store, some.expected, rules)


@given(st.data(), ruled_logs())
@settings(max_examples=50, deadline=None)
def test_a_fold_from_the_base_of_any_recorded_position_meets_every_later_row(
    data: st.DataObject, ruled: tuple[Rules, Log]
) -> None:
    """C13 to C15: the ids that still matter are collected, whatever was recorded before the crash."""
    rules, log = ruled
    some = worker(rules, log)
    recorded = data.draw(st.integers(0, log.end))
    fold_all(some, chunks(log, [0, recorded]))
    some.capture(ended_only=data.draw(st.booleans()))
    some.answer(3)
    some.crash()
    some.store = Store()  # what the old worker wrote is gone: the new one must say all of it from its base on
    fold_all(some, chunks(log, data.draw(borders(log, some.fold.position))))
    base = some.fold.base
    expected = recount(
        log.records,
        base.collect_start,
        log.end,
        rules,
        ACTION,
        stream_time=base.collect_stream_time,
        count_from=base.start,
        named=NAMED,
    )
    some.finish()
    agrees(some.store, expected, rules)
    assert {
        offset: outcome for offset, outcome in some.expected.outcomes.items() if offset >= base.start
    } == expected.outcomes


def later(record: LogRecord, ms: int) -> LogRecord:
    return record if record.timestamp < 0 else replace(record, timestamp=record.timestamp + ms)


@given(st.data(), ruled_logs(), st.sampled_from([0, 10 * MINUTE, 20 * MINUTE]))
@settings(max_examples=100, deadline=None)
def test_a_fold_from_where_the_log_was_cut_goes_on_as_if_it_had_never_stopped_or_refuses(
    data: st.DataObject, ruled: tuple[Rules, Log], silence: int
) -> None:
    """Retention took what is counted. What is gone matters if the next record is within two buckets of it, else not."""
    rules, log = ruled
    position = data.draw(st.integers(0, log.end))
    log = Log(tuple(later(record, silence) if record.offset >= position else record for record in log.records), log.end)
    some = worker(rules, log)
    fold_all(some, chunks(log, [0, position]))
    some.capture()
    some.answer(3)
    start = StartRow(SOURCE, EPOCH, 0, 0, rules.to_json())
    chain = follow(SourceLedger((start,), tuple(sorted(some.store.ledger.values(), key=lambda row: row.start))))
    assert chain.position == position
    rest = [record for record in log.records if record.offset >= position]
    near = (
        bool(rest)
        and max(rest[0].timestamp, chain.stream_time) // ARRIVAL_BUCKET_MS < chain.stream_time // ARRIVAL_BUCKET_MS + 2
    )
    some.fold = some._begin(cut_base(chain))
    left = chunks(log, data.draw(borders(log, position)))
    with pytest.raises(RecordsGone) if near else nullcontext():
        fold_all(some, left)
    if near:
        some.capture()
        some.answer(3)
        assert some.fold.position <= rest[0].offset, "nothing is counted"
        return
    some.finish()
    agrees(some.store, some.expected, rules)


@given(ruled_logs())
@settings(max_examples=50, deadline=None)
def test_a_chunk_out_of_place_is_refused_and_changes_nothing(ruled: tuple[Rules, Log]) -> None:
    """C4."""
    rules, log = ruled
    some = worker(rules, log)
    middle = log.end // 2
    fold_all(some, chunks(log, [0, middle]))
    for wrong in {0, middle - 1, middle + 1} - {middle}:
        if 0 <= wrong <= log.end:
            with pytest.raises(ChunkRefused) as refused:
                some.fold.fold(chunks(log, [wrong, log.end])[0])
            assert refused.value.expected == middle == some.fold.position
    some.finish()
    agrees(some.store, some.expected, rules)


def long_log(rng: np.random.Generator, n: int) -> Log:
    """Thousands of records over two hours, with every outcome, gaps and stream times that step back."""
    offset, time, records = 0, T0, []
    for _ in range(n):
        offset += int(rng.choice([1, 1, 1, 1, 1, 1, 1, 1, 1, 4]))
        time += int(rng.choice([0, 5, 900, 2_000, -3_000, 4_000]))
        timestamp = -1 if rng.random() < 0.05 else time
        lag = int(rng.choice([0, 100, 20_000, 200_000, 3_700_000, -200_000, -400_000]))
        made = record(offset, timestamp, int(rng.integers(1, n)), int(rng.zipf(1.3)) % 50, time - lag)
        records.append(made if rng.random() > 0.01 else LogRecord(offset, timestamp, None))
    return Log(tuple(records), offset + 3)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_three_thousand_records_in_chunks_of_any_size_agree_with_the_reference(size: int) -> None:
    """C1 to C4, at a length where columns are settled and tables grow."""
    rules = Rules(slice_records=500)
    log = long_log(np.random.default_rng(size), 3_000)
    some = worker(rules, log)
    for i, part in enumerate(chunks(log, [*range(0, log.end, size), log.end])):
        some.fold.fold(part)
        if i % 400 == 0:
            some.capture()
            some.answer(3 if i % 800 else 1)
    some.finish()
    agrees(some.store, some.expected, rules)
    outcomes: Counter[str] = Counter()
    for each in some.expected.slices:
        outcomes.update(each.outcomes)
    assert min(outcomes.values()) > 10, "the log shows every outcome"
