"""C1 and C3: slices are a pure cut of offsets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.rules import ARRIVAL_BUCKET_MS
from pintally.streams.counting.slices import Piece, cut

CLOCKS = st.sampled_from(
    [
        0,
        1,
        ARRIVAL_BUCKET_MS - 1,
        ARRIVAL_BUCKET_MS,
        ARRIVAL_BUCKET_MS + 1,
        2 * ARRIVAL_BUCKET_MS,
        5 * ARRIVAL_BUCKET_MS,
    ]
)


@st.composite
def clocked_offsets(draw: st.DrawFn) -> tuple[int, int, dict[int, int]]:
    """Start, end, and the stream time after the record at each offset that has one."""
    start, length = draw(st.integers(0, 20)), draw(st.integers(0, 40))
    offsets = sorted(draw(st.sets(st.integers(start, start + length - 1)))) if length else []
    stream_times = sorted(draw(st.lists(CLOCKS, min_size=len(offsets), max_size=len(offsets))))
    return start, start + length, dict(zip(offsets, stream_times, strict=True))


def pieces(
    start: int, end: int, stream_times: dict[int, int], before: int, slice_records: int, also: int
) -> list[Piece]:
    records = [(offset, value) for offset, value in stream_times.items() if start <= offset < end]
    offsets, values = (np.array([pair[i] for pair in records], np.int64) for i in (0, 1))
    return list(cut(start, end, offsets, values, before, slice_records, also))


def stream_time_at(offset: int, stream_times: dict[int, int]) -> int:
    """The stream time after `offset`."""
    return max([0, *(value for at, value in stream_times.items() if at <= offset)])


@given(clocked_offsets(), st.integers(1, 15), st.integers(-1, 60))
def test_every_offset_belongs_to_its_own_block_and_to_the_stream_time_at_it(
    drawn: tuple[int, int, dict[int, int]], slice_records: int, also: int
) -> None:
    """C1 and C3: an absent offset belongs to the stream time before it."""
    start, end, stream_times = drawn
    found = pieces(start, end, stream_times, 0, slice_records, also)
    assert [offset for piece in found for offset in range(piece.start, piece.end)] == list(range(start, end))
    for piece in found:
        assert piece.start < piece.end
        assert piece.stream_time_before == stream_time_at(piece.start - 1, stream_times)
        assert piece.stream_time == stream_time_at(piece.end - 1, stream_times)
        assert piece.last - piece.first == sum(piece.start <= offset < piece.end for offset in stream_times)
        for offset in range(piece.start, piece.end):
            bucket = stream_time_at(offset, stream_times) // ARRIVAL_BUCKET_MS
            assert (piece.slice_id.slice_block, piece.slice_id.bucket) == (offset // slice_records, bucket)
            assert piece.slice_id.arrived_at_seconds == bucket * 600
    assert also not in range(start, end) or also in [piece.start for piece in found]


@given(clocked_offsets(), st.integers(1, 15), st.integers(0, 60))
def test_slices_do_not_depend_on_chunk_borders(
    drawn: tuple[int, int, dict[int, int]], slice_records: int, border: int
) -> None:
    """C3."""
    start, end, stream_times = drawn
    border = min(max(border, start), end)
    halves = [
        *pieces(start, border, stream_times, 0, slice_records, -1),
        *pieces(border, end, stream_times, stream_time_at(border - 1, stream_times), slice_records, -1),
    ]
    by_offset = [(piece.slice_id, offset) for piece in halves for offset in range(piece.start, piece.end)]
    whole = pieces(start, end, stream_times, 0, slice_records, -1)
    assert by_offset == [(piece.slice_id, offset) for piece in whole for offset in range(piece.start, piece.end)]
    names = [piece.slice_id for piece in whole]
    assert names == sorted(set(names)), "a slice is one range of offsets"
