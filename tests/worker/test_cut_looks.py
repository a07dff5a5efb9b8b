"""When a worker looks whether the next cut is closed."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.rules import ARRIVAL_BUCKET_MS as BUCKET
from pintally.streams.worker.cut_looks import EAGER_MS, SOON_SECONDS, due, seconds_to_next_look

NOON = 1_750_000_000_000 // BUCKET * BUCKET
MARGIN = 300_000
ORDINARY = 30.0


def test_a_cut_is_due_at_its_time_where_every_source_is_busy() -> None:
    assert due(NOON - 1_500, NOON - 1_000, MARGIN) == NOON
    assert due(NOON, NOON + 1_000, MARGIN) == NOON + BUCKET


def test_a_cut_is_due_after_the_margin_where_a_source_is_idle() -> None:
    at = NOON + 17_000
    assert due(at - MARGIN, at, MARGIN) == NOON + MARGIN


@pytest.mark.parametrize("passed", [None, NOON - MARGIN - 1])
def test_where_a_source_holds_all_back_or_has_a_backlog_nothing_is_due(passed: int | None) -> None:
    assert due(passed, NOON, MARGIN) is None
    assert seconds_to_next_look(NOON, None, ORDINARY) == ORDINARY


def test_it_waits_until_the_cut_is_due_then_looks_each_second_for_ten_seconds() -> None:
    assert seconds_to_next_look(NOON - 12_000, NOON, ORDINARY) == 12.0
    assert seconds_to_next_look(NOON - 60_000, NOON, ORDINARY) == ORDINARY
    assert seconds_to_next_look(NOON, NOON, ORDINARY) == SOON_SECONDS
    assert seconds_to_next_look(NOON + EAGER_MS - 1, NOON, ORDINARY) == SOON_SECONDS
    assert seconds_to_next_look(NOON + EAGER_MS, NOON, ORDINARY) == ORDINARY


@dataclass(frozen=True)
class Stream:
    """A source that has records from time to time, each flushed after a while. Times in ms."""

    every: int
    silent_from: int  # it has no record from then on
    lag: int

    def clock(self, now: int) -> int:
        """What it counts with when somebody looks: its flushed stream time, or the clock less the margin if idle."""
        last = min(now - self.lag, self.silent_from) // self.every * self.every
        return max(last, now - MARGIN) if last + self.lag + self.every <= now or self.silent_from <= now else last


STREAMS = st.builds(
    Stream,
    st.sampled_from([100, 1_000, 20_000, 70_000]),
    st.one_of(st.just(NOON + 9 * BUCKET), st.integers(NOON - BUCKET, NOON + BUCKET)),
    st.integers(0, 3_000),
)


@given(st.lists(STREAMS, min_size=1, max_size=3), st.integers(0, BUCKET))
def test_every_cut_is_found_and_an_idle_source_costs_few_looks(streams: list[Stream], began: int) -> None:
    now, looks, end = float(NOON + began), 0, NOON + 3 * BUCKET
    found: dict[int, float] = {}
    closed = 0
    while now < end:
        looks += 1
        passed = min(int(now), *(stream.clock(int(now)) for stream in streams))
        closed = max(closed, passed // BUCKET * BUCKET)
        found.setdefault(closed, now)
        now += 1000 * seconds_to_next_look(now, due(passed, int(now), MARGIN), ORDINARY)
    for cut, at in list(found.items())[1:]:
        ready = next(t for t in range(cut, end, 100) if min(s.clock(t) for s in streams) >= cut)
        assert at <= ready + ORDINARY * 1000, "at the ordinary interval at the latest"
    assert looks <= (end - NOON) / 1000 / ORDINARY + 3 * 3 * (EAGER_MS / 1000 + 1) + 3


def test_where_every_source_is_busy_a_cut_is_found_within_a_second_or_so() -> None:
    streams = [Stream(every, NOON + 9 * BUCKET, 800) for every in (100, 900, 1_000)]
    now = float(NOON + 17_123)
    while (passed := min(stream.clock(int(now)) for stream in streams)) < NOON + BUCKET:
        now += 1000 * seconds_to_next_look(now, due(passed, int(now), MARGIN), ORDINARY)
    ready = next(t for t in range(NOON, NOON + 2 * BUCKET, 10) if min(s.clock(t) for s in streams) >= NOON + BUCKET)
    assert now <= ready + 1_000
