"""Stream time, and slices: the pure cut of a source's offsets by block and by ten minutes of stream time (C1, C3)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.errors import PintallyError
from pintally.schemas.rows import LedgerRow
from pintally.schemas.rules import ARRIVAL_BUCKET_MS

LAST_STREAM_TIME_MS = 2**32 * 1000 - 1  # the last stream time whose slice ClickHouse can name, early in 2106


class SliceId(NamedTuple):
    """Names a slice of a source; ascending in the order of the log."""

    slice_block: int  # offset // slice_records
    arrived_at_seconds: int  # since 1970: the stream time, this record's timestamp included, floored to ten minutes

    @property
    def bucket(self) -> int:
        """The arrival bucket: `arrived_at_seconds` in units of ten minutes."""
        return self.arrived_at_seconds * 1000 // ARRIVAL_BUCKET_MS


@dataclass(frozen=True, slots=True)
class Base:
    """Where a fold begins: ids are collected from `collect_start` on, and counted from `start` on (C13 and C14)."""

    collect_start: int  # offset, a slice's start
    collect_stream_time: int  # ms: the source's stream time before it
    start: int  # offset, a slice's start
    start_stream_time: int  # ms: the source's stream time before it; what collecting must arrive at
    is_cut: bool = False  # the log no longer holds what lies before: it must not matter to what follows
    open_slice: LedgerRow | None = None  # of a cut base: the slice recorded up to `start`; its cells stay as they are


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of one slice that lies in one chunk: never empty, but it may hold gaps only."""

    slice_id: SliceId
    start: int  # offsets [start, end)
    end: int
    first: int  # records [first, last) of the chunk
    last: int
    stream_time_before: int  # ms: the stream time before `start`
    stream_time: int  # ms: the stream time at `end`

    @property
    def records(self) -> slice:
        """Where its records are in the chunk's arrays."""
        return slice(self.first, self.last)

    @property
    def gaps(self) -> int:
        """Offsets without a record."""
        return self.end - self.start - (self.last - self.first)


class ClockTooFar(PintallyError):
    """A Kafka timestamp past the year 2106: every later record of its source would be late."""


def run_stream_time(before: int, timestamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stream time after each record, in ms: the running maximum of the Kafka timestamps.

    `before` is the stream time before the first record; it is carried from chunk to chunk and, by the ledger, over
    restarts. A record without a timestamp (-1) leaves it where it is, and so does event time.
    """
    highest = np.maximum.accumulate(timestamps) if len(timestamps) else timestamps
    return np.maximum(highest, before)


def cut(
    start: int,
    end: int,
    offsets: NDArray[np.int64],
    stream_times: NDArray[np.int64],
    stream_time: int,
    slice_records: int,
    also_at: int = -1,
) -> Iterator[Piece]:
    """Cut the offsets [start, end) into pieces of slices, in order; they join and cover all.

    `stream_times` are the stream times after the records at `offsets`, `stream_time` the one before them (ms). An
    offset without a record belongs to its own block and to the stream time before it. `also_at` is one more place to
    cut, where a slice begins although its neighbours would not tell: the start of counting. Raises ClockTooFar.
    """
    if start == end:
        return
    if len(stream_times) and stream_times[-1] > LAST_STREAM_TIME_MS:
        at = int(np.searchsorted(stream_times, LAST_STREAM_TIME_MS, side="right"))
        raise ClockTooFar(
            f"the record at offset {offsets[at]} has the Kafka timestamp {stream_times[at]} ms, past the year 2106",
            "Set message.timestamp.after.max.ms on the topic, and delete the records up to this one.",
        )
    borders = _borders(start, end, offsets, stream_times, stream_time, slice_records, also_at)
    firsts = [0, *offsets.searchsorted(borders[1:-1]).tolist(), len(offsets)]
    before = stream_time
    for (piece_start, piece_end), (first, last) in zip(pairwise(borders), pairwise(firsts), strict=True):
        own = int(stream_times[first]) if first < last else before  # a record that moves the bucket begins a piece
        after = int(stream_times[last - 1]) if first < last else before
        name = SliceId(piece_start // slice_records, own // ARRIVAL_BUCKET_MS * (ARRIVAL_BUCKET_MS // 1000))
        yield Piece(name, piece_start, piece_end, first, last, before, after)
        before = after


def _borders(
    start: int,
    end: int,
    offsets: NDArray[np.int64],
    stream_times: NDArray[np.int64],
    stream_time: int,
    slice_records: int,
    also_at: int,
) -> list[int]:
    """The offsets where pieces begin, and the end; ascending, each once."""
    inner = set(range((start // slice_records + 1) * slice_records, end, slice_records))
    if start < also_at < end:
        inner.add(also_at)
    if len(stream_times) and stream_times[-1] // ARRIVAL_BUCKET_MS != stream_time // ARRIVAL_BUCKET_MS:
        buckets = stream_times // ARRIVAL_BUCKET_MS
        inner.update(offsets[np.diff(buckets, prepend=stream_time // ARRIVAL_BUCKET_MS) > 0].tolist())
    inner.discard(start)
    return [start, *sorted(inner), end]
