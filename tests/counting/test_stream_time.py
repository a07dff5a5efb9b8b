"""C1: the clock."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pintally.streams.counting.slices import run_stream_time

TIMESTAMPS = st.lists(st.sampled_from([-1, 0, 1, 5, 1_700_000_000_000, 2**63 - 1]) | st.integers(-1, 100), max_size=30)


@given(st.integers(0, 50), TIMESTAMPS)
def test_stream_time_is_the_highest_timestamp_and_a_record_without_one_does_not_change_it(
    before: int, timestamps: list[int]
) -> None:
    """C1: -1 counts as the clock."""
    stream_times = run_stream_time(before, np.array(timestamps, np.int64))
    assert stream_times.tolist() == [max([before, *timestamps[: i + 1]]) for i in range(len(timestamps))]


@given(st.integers(0, 50), TIMESTAMPS, st.integers(0, 30))
def test_stream_time_never_moves_by_chunk(before: int, timestamps: list[int], at: int) -> None:
    """C1."""
    whole = run_stream_time(before, np.array(timestamps, np.int64))
    first = run_stream_time(before, np.array(timestamps[:at], np.int64))
    second = run_stream_time(int(first[-1]) if len(first) else before, np.array(timestamps[at:], np.int64))
    assert [*first.tolist(), *second.tolist()] == whole.tolist()
