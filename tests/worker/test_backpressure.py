"""When reading pauses and goes on, and when a chunk that went missing is asked for again (C4 and C9)."""

import asyncio
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from pintally.schemas.sources import Source
from pintally.streams.worker.backpressure import STUCK_SECONDS, Backpressure

SAVES, CLICKS = TP("engagement.save.v1", 0), TP("engagement.click.v1", 1)


class Consumer:
    """What Backpressure asks of the consumer, and what it was told to do."""

    def __init__(self) -> None:
        self.assigned = {SAVES}
        self.held: frozenset[TP] = frozenset()
        self.fetched: dict[TP, int] = {}
        self.seeks: list[TP] = []
        self.revoked = False

    def assignment(self) -> set[TP]:
        return self.assigned

    def pause(self, tps: Iterable[TP]) -> None:
        self.held = frozenset(tps)

    def fetch_position(self, tp: TP) -> int | None:
        return self.fetched.get(tp)

    async def seek_to_folds(self, tps: list[TP]) -> None:
        if self.revoked:
            raise IllegalStateError("no current assignment")
        self.seeks += tps


class Bench:
    """A Backpressure whose surroundings and clock a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit: int = 100) -> None:
        self.consumer = Consumer()
        self.flusher = SimpleNamespace(pending_cells=0, waiting={})
        self.positions: dict[TP, int] = {}
        self.queued: set[str] = set()
        self.now = 1_000.0
        monkeypatch.setattr("pintally.streams.worker.backpressure.monotonic", lambda: self.now)
        app: Any = SimpleNamespace(
            consumer=self.consumer,
            flusher=self.flusher,
            settings=SimpleNamespace(worker=SimpleNamespace(max_pending_cells=limit)),
            tables=SimpleNamespace(positions=lambda: self.positions),
            queued=lambda topic: topic in self.queued,
        )
        self.flow = Backpressure(app)

    def pending(self, cells: int) -> bool:
        """Whether reading is paused when so many cells wait."""
        self.flusher.pending_cells = cells
        self.flow.pause_if_full()
        return self.consumer.held == self.consumer.assigned

    def look(self, seconds: float = 0.0) -> list[TP]:
        """The seeks of a look some seconds later."""
        self.now += seconds
        self.consumer.seeks.clear()
        asyncio.run(self.flow.seek_stuck())
        return self.consumer.seeks


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_reading_pauses_at_the_limit_and_goes_on_at_half_of_it_not_before(bench: Bench) -> None:
    assert [bench.pending(cells) for cells in (99, 100, 150, 99, 51, 49, 99)] == [
        False, True, True, True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_smallest_limits_pause_and_go_on_too(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    bench = Bench(monkeypatch, limit)
    assert bench.pending(limit)
    assert not bench.pending(0)


def test_sources_that_come_while_reading_is_paused_are_paused_too(bench: Bench) -> None:
    bench.pending(100)
    bench.consumer.assigned = {SAVES, CLICKS}
    bench.pending(100)
    assert bench.consumer.held == {SAVES, CLICKS}


def test_between_flushes_reading_pauses_as_soon_as_what_was_folded_since_fills_the_limit(bench: Bench) -> None:
    bench.pending(60)
    bench.flusher.pending_cells = 100
    bench.flow.folded(39)
    assert not bench.flow.is_full
    bench.flow.folded(1)
    assert bench.flow.is_full


def test_all_folds_are_summed_once_a_flush_and_not_at_each_chunk(bench: Bench) -> None:
    class Counted:
        waiting: Mapping[Source, object] = {}
        sums = 0

        @property
        def pending_cells(self) -> int:
            self.sums += 1
            return 10

    flusher = bench.flow.app.flusher = Counted()  # type: ignore[assignment]
    bench.flow.pause_if_full()
    for _ in range(89):
        bench.flow.folded(1)
    assert flusher.sums == 1
    bench.flow.folded(1)
    assert (flusher.sums, bench.flow.is_full) == (2, False)


def test_a_source_that_waits_for_its_dead_letters_is_paused_and_no_other(bench: Bench) -> None:
    bench.consumer.assigned = {SAVES, CLICKS}
    bench.flusher.waiting = {Source(CLICKS.topic, UUID(int=7), CLICKS.partition): None}
    bench.pending(0)
    assert bench.consumer.held == {CLICKS}
    bench.pending(100)
    assert bench.consumer.held == {SAVES, CLICKS}
    bench.pending(0)
    assert bench.consumer.held == {CLICKS}
    bench.flusher.waiting = {}
    bench.pending(0)
    assert bench.consumer.held == set()


def test_a_position_that_stays_below_the_fetch_position_for_two_seconds_is_sought_again(bench: Bench) -> None:
    """C4: the last chunk may have been the dropped one, and no hole would ever tell."""
    bench.positions, bench.consumer.fetched = {SAVES: 5, CLICKS: 7}, {SAVES: 9, CLICKS: 7}
    assert bench.look() == []
    assert bench.look(STUCK_SECONDS - 0.1) == []
    assert bench.look(0.2) == [SAVES]


def test_after_a_seek_the_two_seconds_begin_anew(bench: Bench) -> None:
    bench.positions, bench.consumer.fetched = {SAVES: 5}, {SAVES: 9}
    bench.look()
    assert bench.look(STUCK_SECONDS) == [SAVES]
    assert bench.look(1.0) == []
    assert bench.look(STUCK_SECONDS) == [SAVES]


def test_a_position_that_moves_is_not_stuck(bench: Bench) -> None:
    bench.consumer.fetched = {SAVES: 100}
    for position in range(0, 50, 10):
        bench.positions = {SAVES: position}
        assert bench.look(STUCK_SECONDS * 0.9) == []
    assert bench.look(0.1) == [], "it stands still only since the last look"


def test_while_chunks_are_queued_nothing_is_missing_yet(bench: Bench) -> None:
    bench.positions, bench.consumer.fetched = {SAVES: 5}, {SAVES: 9}
    bench.queued = {SAVES.topic}
    assert bench.look() == bench.look(10) == []
    bench.queued = set()
    assert bench.look() == [], "the time in the queue does not count"
    assert bench.look(STUCK_SECONDS) == [SAVES]


def test_a_source_that_is_not_fetched_yet_is_not_stuck(bench: Bench) -> None:
    bench.positions = {SAVES: 5}
    assert bench.look() == bench.look(10) == []


def test_a_source_that_was_revoked_meanwhile_is_not_sought(bench: Bench) -> None:
    bench.positions, bench.consumer.fetched, bench.consumer.revoked = {SAVES: 5}, {SAVES: 9}, True
    assert bench.look() == bench.look(STUCK_SECONDS) == []
