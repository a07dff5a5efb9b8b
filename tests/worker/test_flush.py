"""A flush, step by step: what is durable before what, and that no failure of any step loses or doubles a count."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from threading import Event

import pytest
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError

from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.schemas.rows import StartRow
from pintally.schemas.rules import Rules
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.slices import Base
from pintally.streams.worker.counters import counters
from pintally.streams.worker.dead_letter_topics import DeadLetterTopics
from pintally.streams.worker.flush import LEDGER_CHECK_INTERVAL_SECONDS, Flusher, RulesChanged, SinkRolledBack
from tests.support.faulty_sink import STEPS, Fault, FaultySink, Journal, LetterTopics
from tests.support.logs import ACTION, HOUR, SOURCE, T0, Log, chunk, record
from tests.support.reference import LogRecord

RULES = Rules(allowed_lateness_ms=HOUR, slice_records=100)
AHEAD = 10**9


class Bench:
    """An flusher over folds that a test feeds record by record."""

    def __init__(self, sources: int = 1, max_pending_cells: int = 1_000, rules: Rules = RULES) -> None:
        self.journal = Journal()
        self.sink = FaultySink(self.journal)
        self.topics = LetterTopics(self.journal)
        self.folds = [
            SourceFold(replace(SOURCE, partition=number), ACTION, rules, 0, Base(0, 0, 0, 0))
            for number in range(sources)
        ]
        self.sink.starts = [StartRow(fold.source, 0, 0, 0, rules.to_json()) for fold in self.folds]
        self.lag = 0
        self._before = self._counted()
        letters = DeadLetterTopics(lambda: self.topics)
        self.flusher = Flusher(self.sink, letters, lambda: self.folds, lambda _fold: self.lag, max_pending_cells)

    def done(self) -> tuple[int, ...]:
        """Flushes that succeeded, those that failed, and the cells of the first, since the bench was made."""
        return tuple(now - before for now, before in zip(self._counted(), self._before, strict=True))

    @staticmethod
    def _counted() -> tuple[int, int, int]:
        return counters["flushes"], counters["flushes_failed"], counters["flushed_cells"]

    def feed(self, *values: int | None, fold: int = 0) -> None:
        """One record a value: a pin to count, or None for a broken one."""
        target = self.folds[fold]
        start, end = target.position, target.position + len(values)
        records = [
            LogRecord(start + i, T0, b"broken", b"k", ()) if pin is None else record(start + i, T0, pin=pin)
            for i, pin in enumerate(values)
        ]
        target.fold(chunk(Log(tuple(records), end), start, end))

    def flush(self) -> bool:
        return asyncio.run(self.flusher.flush())

    def pins(self, fold: int = 0) -> dict[int, int]:
        """Count of each pin in the sink, over all slices of a source."""
        found: dict[int, int] = {}
        for (source, _, _, _, _, pin, *_), count in self.sink.counts().items():
            if source == self.folds[fold].source.id:
                found[pin] = found.get(pin, 0) + count
        return found

    def flushed(self, fold: int = 0) -> int:
        """The highest position that the ledger has of a source."""
        rows = [row for row in self.sink.ledger.values() if row.source == self.folds[fold].source]
        return max((row.position for row in rows), default=0)


def unavailable() -> SinkUnavailable:
    return SinkUnavailable("nobody answers")


def test_each_step_is_durable_before_the_next_begins() -> None:
    """C6 and C11: dead letters acknowledged, read-back, cells, dead letters' rows, and the ledger last."""
    bench = Bench()
    bench.feed(1, None, 2, None)
    assert bench.flush()
    assert bench.journal.steps == ["acknowledged", "read_back", "cells", "dead_letters", "ledger"]
    assert (bench.pins(), bench.flushed()) == ({1: 1, 2: 1}, 4)
    assert [letter.offset for letter in bench.topics.letters] == [1, 3]
    assert sorted(letter.offset for letter in bench.sink.dead_letters.values()) == [1, 3]


def test_a_flush_with_nothing_new_touches_nothing() -> None:
    bench = Bench()
    assert bench.flush()
    bench.feed(1)
    bench.flush()
    done = len(bench.journal.steps)
    assert bench.flush()
    assert len(bench.journal.steps) == done
    assert bench.done() == (1, 0, 1)


@pytest.mark.parametrize("applied", [False, True], ids=["not_applied", "applied_without_an_answer"])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_is_repeated_by_the_next_flush_with_newer_counts(step: str, applied: bool) -> None:
    """C7: dirty is never cleared before the answer; what was applied without one changes nothing."""
    bench = Bench()
    bench.feed(1, None, 2)
    bench.sink.fault = Fault(step, unavailable, applied)
    assert not bench.flush()
    assert (bench.done(), bench.flusher.pending_cells) == ((0, 1, 0), 3)
    assert bench.folds[0].flushed_version is None
    bench.feed(1, 1)
    bench.sink.fault = None
    assert bench.flush()
    assert (bench.pins(), bench.flushed(), bench.flusher.pending_cells) == ({1: 3, 2: 1}, 5, 0)
    assert [letter.offset for letter in bench.sink.dead_letters.values()] == [1]


@pytest.mark.parametrize("step", STEPS[:-1])
def test_a_failure_before_the_ledger_leaves_it_as_it_was(step: str) -> None:
    """C6: only the ledger says what is flushed."""
    bench = Bench()
    bench.feed(1)
    bench.flush()
    bench.feed(1, None)
    bench.sink.fault = Fault(step, unavailable, applied=True)
    assert not bench.flush()
    assert bench.flushed() == 1


def test_a_ledger_row_applied_without_an_answer_is_no_reason_to_think_the_sink_rolled_back() -> None:
    bench = Bench()
    bench.feed(1)
    bench.sink.fault = Fault("ledger", unavailable, applied=True)
    assert not bench.flush()
    assert bench.flushed() == 1
    bench.sink.fault = None
    assert bench.flush()
    bench.feed(1)
    assert bench.flush()
    assert (bench.pins(), bench.flushed()) == ({1: 2}, 2)


def test_what_was_sent_before_a_failure_and_arrives_after_the_repeat_changes_nothing() -> None:
    """The version decides, not the order of arrival: an old insert that ClickHouse applies late loses."""
    bench = Bench()
    bench.feed(1, 2)
    late = FaultySink()
    late.starts = bench.sink.starts
    bench.flusher.sink = late
    assert bench.flush()  # what the lost insert held
    again = Bench()
    again.feed(1, 2)
    again.feed(1)
    assert again.flush()
    with again.sink.session() as session:
        session.write_cells(late.read_cells())
        session.write_ledger(list(late.ledger.values()))
    assert (again.pins(), again.flushed()) == ({1: 2, 2: 1}, 3)


class Killed(BaseException):
    """What no `except Exception` sees, as the end of a task or of the interpreter."""


@pytest.mark.parametrize("error", [Killed, asyncio.CancelledError, ValueError, lambda: SinkError("no such table")])
@pytest.mark.parametrize("step", STEPS)
def test_any_other_error_comes_through_after_everything_is_merged_back(
    step: str, error: Callable[[], BaseException]
) -> None:
    bench = Bench()
    bench.feed(1, None, 2)
    expected = type(error())
    bench.sink.fault = Fault(step, error)

    async def flush() -> None:
        with pytest.raises(expected):
            await bench.flusher.flush()

    asyncio.run(flush())
    assert bench.flusher.pending_cells == 3
    bench.sink.fault = None
    assert bench.flush()
    assert (bench.pins(), bench.flushed()) == ({1: 1, 2: 1}, 3)


@pytest.mark.parametrize("error", [KafkaConnectionError, NotLeaderForPartitionError])
def test_dead_letters_that_kafka_does_not_acknowledge_hold_the_flush_back(error: type[BaseException]) -> None:
    """C11: nothing of the flush reaches the sink."""
    bench = Bench()
    bench.feed(1, None)
    bench.topics.error = error()
    assert not bench.flush()
    assert (bench.journal.steps, bench.flusher.pending_cells) == ([], 2)
    bench.topics.error = None
    assert bench.flush()
    assert (bench.pins(), len(bench.topics.letters), len(bench.sink.dead_letters)) == ({1: 1}, 1, 1)


def test_a_source_whose_dead_letters_are_not_acknowledged_holds_no_other_back() -> None:
    """C11: a ledger row waits for the letters below it, and for no others."""
    bench = Bench(sources=3)
    for fold in range(3):
        bench.feed(1, *([None] if fold < 2 else []), fold=fold)
    bench.topics.error, bench.topics.refuses = NotLeaderForPartitionError(), {1}
    assert not bench.flush()
    assert [bench.flushed(fold) for fold in range(3)] == [2, 0, 1]
    assert {source.partition for source in bench.flusher.waiting} == {1}
    assert bench.done() == (1, 1, 2)
    bench.feed(1, fold=1)
    assert not bench.flush()
    assert [bench.flushed(fold) for fold in range(3)] == [2, 0, 1]
    bench.topics.error = None
    assert bench.flush()
    assert (bench.pins(1), bench.flushed(1), bench.flusher.waiting) == ({1: 2}, 3, {})


def test_a_source_that_waits_goes_out_whole_however_far_behind_it_is() -> None:
    """It is not read any further meanwhile, so no slice would end and it would wait for ever."""
    bench = Bench()
    bench.feed(1, None)
    bench.topics.error = NotLeaderForPartitionError()
    assert not bench.flush()
    bench.lag, bench.topics.error = AHEAD, None
    assert bench.flush()
    assert (bench.flushed(), bench.flusher.waiting) == (2, {})


def test_a_source_that_went_to_another_worker_is_not_waited_for() -> None:
    bench = Bench(sources=2)
    bench.feed(None, fold=1)
    bench.topics.error = NotLeaderForPartitionError()
    assert not bench.flush()
    bench.folds.pop()
    assert bench.flush()
    assert (bench.flusher.waiting, bench.flusher.measured.refused) == ({}, None)


def test_one_source_that_fails_takes_all_sources_of_the_flush_back_with_it() -> None:
    bench = Bench(sources=3)
    for fold in range(3):
        bench.feed(1, fold=fold)
    bench.sink.fault = Fault("ledger", unavailable)
    assert not bench.flush()
    assert [fold.pending_cells for fold in bench.folds] == [1, 1, 1]
    bench.sink.fault = None
    assert bench.flush()
    assert [bench.flushed(fold) for fold in range(3)] == [1, 1, 1]


def test_a_second_flush_waits_for_the_first() -> None:
    """C7: one flush in flight; a fold would refuse a second capture."""
    bench = Bench()
    entered, go_on = Event(), Event()

    def hold() -> None:
        entered.set()
        assert go_on.wait(30)

    async def two_flushes() -> None:
        bench.feed(1)
        bench.sink.before_cells = hold
        first = asyncio.create_task(bench.flusher.flush())
        assert await asyncio.to_thread(entered.wait, 30)
        bench.feed(1)
        second = asyncio.create_task(bench.flusher.flush())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not second.done()
        assert bench.journal.steps == ["read_back"]
        go_on.set()
        assert await first
        assert await second

    asyncio.run(two_flushes())
    assert bench.journal.steps == ["read_back", "cells", "dead_letters", "ledger"] * 2
    assert (bench.pins(), bench.flushed()) == ({1: 2}, 2)


def test_a_failed_flush_of_a_source_that_was_revoked_meanwhile_is_merged_into_no_other() -> None:
    """C7: back into the state it came from; the state that took its place folds for itself."""
    bench = Bench()
    bench.feed(1, 2)
    revoked = bench.folds[0]
    bench.sink.fault = Fault("ledger", unavailable)

    def revoke() -> None:
        bench.folds[0] = SourceFold(revoked.source, ACTION, RULES, 0, Base(0, 0, 0, 0))

    bench.sink.before_cells = revoke
    assert not bench.flush()
    assert (revoked.pending_cells, bench.folds[0].pending_cells) == (2, 0)
    bench.sink.fault, bench.sink.before_cells = None, lambda: None
    bench.feed(1)
    assert bench.flush()
    assert bench.flushed() == 1


def test_a_ledger_older_than_what_was_flushed_is_a_sink_that_rolled_back() -> None:
    """C6: nothing is written over a restored copy; the worker starts again and folds what is missing."""
    bench = Bench()
    bench.feed(1)
    bench.flush()
    older = dict(bench.sink.ledger)
    bench.feed(1, 1)
    bench.flush()
    for gone in (older, {}):
        bench.sink.ledger = dict(gone)
        bench.feed(1)
        bench.journal.steps.clear()
        with pytest.raises(SinkRolledBack, match=r"engagement.save.v1\[0\] is at version (1|None), 3 was flushed"):
            bench.flush()
        assert bench.journal.steps == ["read_back"]


def test_an_idle_source_beside_a_busy_one_tells_of_a_sink_that_rolled_back() -> None:
    """C6: a flush reads all sources back, not only those that it flushes."""
    bench = Bench(sources=2)
    bench.feed(1, fold=0)
    older = dict(bench.sink.ledger)
    bench.flush()
    bench.sink.ledger = older
    bench.feed(1, fold=1)
    with pytest.raises(SinkRolledBack, match=r"engagement.save.v1\[0\] is at version None, 1 was flushed"):
        bench.flush()


def test_a_start_row_that_is_gone_is_a_sink_that_rolled_back() -> None:
    bench = Bench()
    bench.sink.starts = []
    bench.feed(1)
    with pytest.raises(SinkRolledBack, match="at epoch None, 0 was flushed"):
        bench.flush()


def test_an_idle_worker_looks_at_the_ledger_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("pintally.streams.worker.flush.monotonic", lambda: now)
    bench = Bench()
    bench.feed(1)
    bench.flush()
    bench.sink.ledger = {}
    now += LEDGER_CHECK_INTERVAL_SECONDS - 0.1
    assert bench.flush()
    now += 0.2
    bench.sink.fault = Fault("read_back", unavailable)
    assert bench.flush()
    bench.sink.fault = None
    with pytest.raises(SinkRolledBack):
        bench.flush()


def test_a_worker_whose_rules_were_replaced_writes_nothing_more() -> None:
    """C19: what it says is superseded."""
    bench = Bench(sources=2)
    bench.sink.starts.append(StartRow(bench.folds[0].source, 1, 0, 0, RULES.to_json()))
    bench.feed(1, fold=1)
    with pytest.raises(RulesChanged, match=r"engagement.save.v1\[0\] is counted by epoch 1 .* by 0"):
        bench.flush()
    assert bench.journal.steps == ["read_back"]


def test_a_ledger_ahead_of_what_was_flushed_is_no_reason_to_stop() -> None:
    """Another worker went on while this one still believed it owned the source; its versions are higher."""
    bench = Bench()
    bench.feed(1)
    bench.flush()
    ahead = replace(next(iter(bench.sink.ledger.values())), position=50)
    with bench.sink.session() as session:
        session.write_ledger([ahead])
    bench.feed(1)
    assert bench.flush()
    assert bench.flushed() == 50


def test_far_behind_only_slices_that_have_ended_go_out() -> None:
    """C9."""
    bench = Bench()
    bench.lag = RULES.slice_records + 1
    bench.feed(*range(1, 100))
    assert bench.flush()
    assert bench.flushed() == 0
    bench.feed(100, 1, 2)
    assert bench.flush()
    assert (bench.flushed(), bench.flusher.pending_cells) == (100, 2)
    bench.lag = RULES.slice_records
    assert bench.flush()
    assert (bench.flushed(), bench.flusher.pending_cells) == (102, 0)


def test_far_behind_open_slices_go_out_too_once_half_the_memory_is_full() -> None:
    """C9: else the pause would come before any slice ends, for ever."""
    bench = Bench(sources=2, max_pending_cells=20)
    bench.lag = AHEAD
    bench.feed(1, 2, 3, 4, fold=0)
    bench.feed(1, 2, 3, 4, 5, fold=1)
    assert bench.flush()
    assert (bench.flushed(0), bench.flushed(1)) == (0, 0)
    bench.feed(6, fold=1)
    assert bench.flush()
    assert (bench.flushed(0), bench.flushed(1), bench.flusher.pending_cells) == (4, 6, 0)


def test_what_a_flush_did_is_counted() -> None:
    bench = Bench(sources=2)
    bench.feed(1, 2, None, fold=0)
    bench.feed(1, fold=1)
    bench.flush()
    assert bench.done() == (1, 0, 3)
