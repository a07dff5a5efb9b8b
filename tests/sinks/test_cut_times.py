"""From which cut on an hour is complete, and which cuts are published together. Pure."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.sinks.clickhouse.sealing.cut_times import BUCKET, Cuts, batches, lateness_of
from pintally.sinks.clickhouse.sealing.opened_by_cells import windows_of
from pintally.sinks.clickhouse.sealing.reopen import DAY, HOUR
from tests.support.cells import cells

NOON = 20_000 * DAY + 12 * HOUR
CUTS = Cuts(NOON + 3 * HOUR, ((NOON + BUCKET, NOON - HOUR), (NOON + HOUR, NOON), (NOON + 2 * HOUR, NOON + HOUR)))


@pytest.mark.parametrize(("seconds", "least"), [(0, HOUR), (HOUR, HOUR), (HOUR + 1, HOUR + BUCKET), (DAY, DAY)])
def test_an_hour_is_complete_after_the_lateness_in_full_ten_minutes_and_at_least_an_hour(
    seconds: int, least: int
) -> None:
    assert lateness_of(seconds) == least


def test_an_hour_becomes_complete_at_the_first_cut_whose_hours_go_beyond_it() -> None:
    assert [CUTS.complete_at(NOON + n * HOUR) for n in (-9, -2, -1, 0, 1)] == [
        NOON + BUCKET, NOON + BUCKET, NOON + HOUR, NOON + 2 * HOUR, None
    ]  # fmt: skip
    assert Cuts().complete_at(NOON) is None


def test_before_the_first_cut_no_hour_is_complete() -> None:
    moments = (NOON, NOON + BUCKET, NOON + HOUR - 1, NOON + HOUR, NOON + 9 * HOUR)
    assert [CUTS.hours_until_at(moment) for moment in moments] == [0, NOON - HOUR, NOON - HOUR, NOON, NOON + HOUR]


@given(st.integers(0, 200), st.lists(st.integers(0, 200), max_size=9), st.sampled_from([HOUR, 3 * HOUR, 2 * DAY]))
def test_batches_have_every_cut_once_and_each_bucket_with_cells_and_each_new_day_begins_one(
    length: int, filled: list[int], lateness: int
) -> None:
    first = NOON + BUCKET
    full = {NOON + n * BUCKET for n in filled}
    made = list(batches(Cuts(), first, first + length * BUCKET, lateness, full))
    cuts = [each for batch in made for each in batch.cuts]
    assert [each.cut for each in cuts] == list(range(first, first + length * BUCKET + 1, BUCKET))
    assert all(each.hours_until == (each.cut - lateness) // HOUR * HOUR for each in cuts)
    for batch in made:
        assert batch.has_cells == bool(full & set(batch.buckets))
        assert len(batch.cuts) == 1 or not batch.has_cells
        assert len({each.hours_until // DAY for each in batch.cuts}) == 1
        assert batch.needs_base == (batch is made[0] or batch.day > batch.before.hours_until)
        start, end = batch.complete
        after = batch.before.after(batch)
        assert all(
            after.complete_at(hour) in {each.cut for each in batch.cuts} for hour in range(start or end, end, HOUR)
        )


def test_what_is_complete_never_goes_back() -> None:
    [batch] = batches(CUTS, NOON + 3 * HOUR + BUCKET, NOON + 4 * HOUR, DAY, ())
    assert {each.hours_until for each in batch.cuts} == {NOON + HOUR}


def test_cells_open_their_bucket_and_the_hour_that_was_complete_after_they_arrived() -> None:
    rows = cells(
        (1, 0, NOON + HOUR, 1, NOON + 60, 1, 1, 1),  # arrived before its hour was complete
        (1, 0, NOON + 2 * HOUR, 1, NOON + 120, 1, 1, 1),  # later: a correction
        (1, 0, NOON + 2 * HOUR, 1, NOON + HOUR, 1, 1, 1),  # its hour is not complete
        (1, 0, NOON + 3 * HOUR, 1, NOON - 5 * HOUR, 1, 1, 1),  # known at no cut
        (1, 0, NOON - DAY, 1, NOON - 2 * DAY, 1, 1, 1),  # before the first cut
    )
    assert windows_of(rows, CUTS) == {
        ("tiles", NOON + HOUR), ("tiles", NOON + 2 * HOUR), ("tiles", NOON - DAY),
        ("hours", NOON), ("hours", NOON - 2 * DAY),
    }  # fmt: skip
    assert windows_of(rows.select(np.array([False] * 3 + [True, False])), CUTS) == set()
