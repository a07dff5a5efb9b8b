"""C1 and C3 by example."""

import numpy as np
import pytest

from pintally.schemas.rules import ARRIVAL_BUCKET_MS
from pintally.streams.counting.slices import LAST_STREAM_TIME_MS, ClockTooFar, SliceId, cut


def test_a_gap_across_several_blocks_makes_slices_of_gaps_only() -> None:
    """C3: they keep the stream time before them, also where the record after them moves it."""
    pieces = list(cut(8, 45, np.array([8, 41]), np.array([7, ARRIVAL_BUCKET_MS]), 0, 10))
    assert [(piece.slice_id, piece.start, piece.end, piece.last - piece.first) for piece in pieces] == [
        (SliceId(0, 0), 8, 10, 1),
        (SliceId(1, 0), 10, 20, 0),
        (SliceId(2, 0), 20, 30, 0),
        (SliceId(3, 0), 30, 40, 0),
        (SliceId(4, 0), 40, 41, 0),
        (SliceId(4, 600), 41, 45, 1),
    ]


def test_block_and_bucket_that_change_at_the_same_record_make_one_cut() -> None:
    pieces = list(cut(9, 11, np.array([9, 10]), np.array([5, ARRIVAL_BUCKET_MS]), 0, 10))
    assert [piece.slice_id for piece in pieces] == [SliceId(0, 0), SliceId(1, 600)]


def test_a_chunk_of_gaps_only_is_cut_at_blocks() -> None:
    none = np.empty(0, np.int64)
    assert [(p.start, p.end, p.stream_time) for p in cut(5, 12, none, none, 77, 10)] == [(5, 10, 77), (10, 12, 77)]


def test_an_empty_range_has_no_piece() -> None:
    none = np.empty(0, np.int64)
    assert list(cut(10, 10, none, none, 0, 10)) == []


def test_a_stream_time_that_no_slice_can_carry_is_refused_and_the_record_is_named() -> None:
    with pytest.raises(ClockTooFar, match="offset 4 has the Kafka timestamp"):
        list(cut(3, 5, np.array([3, 4]), np.array([LAST_STREAM_TIME_MS, LAST_STREAM_TIME_MS + 1]), 0, 10))
