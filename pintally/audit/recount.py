"""Recounts one source, slice by slice, from its log and the rules alone.

The rules, in the order in which they apply:
- Stream time is the running maximum of the Kafka timestamps of the records. A record without a timestamp (-1) is
  invalid, and does not change it.
- A slice is (offset // slice_records, stream time rounded down to ten minutes). An offset without a record belongs to
  the block of the offset and the stream time before it. A slice also ends where an epoch of the rules begins.
- A record is invalid if it is not an event behind the prefix that the rules ask for (`prefix_bytes`), or if its event
  time is after its timestamp + skew or before its timestamp - retention. Else it is late if the end of its minute +
  lateness <= stream time. Else it is a duplicate if an earlier record that is not invalid has its id, in the same block
  and bucket or one less. Else it is counted.
- A counted record counts under the labels that labels.py says, in the arms that arms.py says, and is trusted or not as
  trusted.py says. All look at the earlier counted records of the slice alone.

Records are judged many at once, in columns. Times are compared as differences, because sums may not fit in 64 bits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import md5
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.audit.aggregates import AGGREGATES
from pintally.audit.arms import Assigned
from pintally.audit.cells import Counts
from pintally.audit.contract import ACTIONS
from pintally.audit.duplicates import Ids, repeated
from pintally.audit.events import EventReader, Events
from pintally.audit.labels import Labels
from pintally.audit.log import Log, Partition, Piece
from pintally.audit.records import Records
from pintally.audit.rules import ARRIVAL_BUCKET_MS, MINUTE_MS, CountingRules
from pintally.audit.slices import Outcome, Rejected, Slice
from pintally.audit.trusted import trusted

Progress = Callable[[int], None]  # is called with the number of offsets that were recounted since the last call
_NEVER = (1 << 63) - 1
_AT_ONCE = 4_000  # records: their columns stay in the cache of the processor


@dataclass(frozen=True, slots=True)
class SliceStart:
    """An offset and the source's stream time (ms) before it."""

    offset: int
    stream_time: int


class _Judged(NamedTuple):
    """Columns of records of one slice: outcomes so far, as duplicates are found at the end of the slice."""

    offsets: NDArray[np.int64]
    stream_times: NDArray[np.int64]
    outcomes: NDArray[np.uint8]
    events: Events


_NOTHING = _Judged(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8), Events.none())


class Recount:
    """Folds a log from `place` on. It yields slices from the offset `first` on, and collects ids before it."""

    def __init__(
        self, action: str, rules: CountingRules, place: SliceStart, first: int, user_keys: tuple[bytes, ...] = ()
    ) -> None:
        self.position = place.offset
        self._number = next(number for number, label in ACTIONS.items() if label == action)
        self._reader = EventReader(action, rules.prefix_bytes)
        self._rules = rules
        self._user_keys = user_keys
        self._stream_time = place.stream_time
        self._first = first
        self._ids = Ids.none()  # of earlier slices that may still matter
        self._open: list[_Judged] = []  # records of the open slice
        self._labels, self._assigned = Labels(), Assigned()  # of the open slice
        self._slice = self._begin(place.offset)
        self._block_end = (self._slice.slice_block + 1) * rules.slice_records
        self._cut = self._next_cut(place.offset)

    @property
    def stream_time(self) -> int:
        """Of the source, in ms, at `position`."""
        return self._stream_time

    def feed(self, piece: Piece, until: int = _NEVER) -> Iterator[Slice]:
        """Fold a piece of the log, up to the offset `until`; yields the slices that ended."""
        records = piece.records.between(0, until)
        for at in range(0, len(records), _AT_ONCE):
            yield from self._fold(records.part(at, at + _AT_ONCE))
        yield from self._advance(min(piece.end, until))

    def finish(self) -> Iterator[Slice]:
        """Yields the open slice as far as it was read, and ends the recount."""
        yield from self._close(self.position, complete=self.position >= self._cut)

    def _fold(self, records: Records) -> Iterator[Slice]:
        """Cut records into slices where a block, an arrival bucket or an epoch ends."""
        stream_times = np.maximum(np.maximum.accumulate(records.timestamps), self._stream_time)
        buckets, at = stream_times // ARRIVAL_BUCKET_MS, 0
        while at < len(records):
            offset, bucket = int(records.offsets[at]), int(buckets[at])
            if offset >= self._cut:
                yield from self._cross(offset)
            if bucket > self._stream_time // ARRIVAL_BUCKET_MS:
                yield from self._end(offset)
                self._slice.arrived_at = bucket * (ARRIVAL_BUCKET_MS // 1000)
            to = int(min(np.searchsorted(records.offsets, self._cut), np.searchsorted(buckets, bucket, "right")))
            self._take(records.part(at, to), stream_times[at:to])
            self._stream_time, at = int(stream_times[to - 1]), to

    def _judge(self, records: Records, stream_times: NDArray[np.int64]) -> _Judged:
        """Which records are invalid, late, or else counted unless they are duplicates."""
        rules, events = self._rules, self._reader.read(records.values, self._labels, self._assigned)
        since = events.occurred_at - np.maximum(records.timestamps, 0)
        timely = (since >= -rules.retention_ms) & (since <= rules.max_clock_skew_ms)
        invalid = ~(events.valid & (records.timestamps >= 0) & timely)
        minute_starts = events.occurred_at - events.occurred_at % MINUTE_MS
        late = stream_times - minute_starts >= MINUTE_MS + rules.allowed_lateness_ms
        outcomes = np.where(invalid, Outcome.INVALID, np.where(late, Outcome.LATE, Outcome.COUNTED))
        return _Judged(records.offsets, stream_times, outcomes.astype(np.uint8), events)

    def _take(self, records: Records, stream_times: NDArray[np.int64]) -> None:
        """Add records to the open slice."""
        judged = self._judge(records, stream_times)
        self._open.append(judged)
        for index in np.flatnonzero(judged.outcomes <= Outcome.LATE).tolist():
            outcome, stream_time = Outcome(judged.outcomes[index]), int(stream_times[index])
            self._slice.rejected.append(_rejected(records, index, outcome, stream_time))

    def _advance(self, to: int) -> Iterator[Slice]:
        if to > self._cut:  # a cut at `to` itself belongs to what comes next
            yield from self._cross(to - 1)
        self.position = max(self.position, to)

    def _cross(self, offset: int) -> Iterator[Slice]:
        """End slices at every cut up to `offset`, whether or not a record lies between."""
        while self._cut <= offset:
            yield from self._end(self._cut)

    def _end(self, at: int) -> Iterator[Slice]:
        if at > self._slice.start:
            yield from self._close(at, complete=True)
        self._slice = self._begin(at)
        self._block_end = (self._slice.slice_block + 1) * self._rules.slice_records
        self._cut = self._next_cut(at)

    def _begin(self, at: int) -> Slice:
        arrived_at = self._stream_time // ARRIVAL_BUCKET_MS * (ARRIVAL_BUCKET_MS // 1000)
        return Slice(at // self._rules.slice_records, arrived_at, at, self._stream_time)

    def _next_cut(self, at: int) -> int:
        return self._first if at < self._first < self._block_end else self._block_end

    def _close(self, end: int, *, complete: bool) -> Iterator[Slice]:
        current = self._slice
        current.end, current.complete = end, complete
        self._settle(current, _joined([_NOTHING, *self._open]))
        self._open, self._labels, self._assigned = [], Labels(), Assigned()
        if current.start >= self._first and end > current.start:
            yield current

    def _settle(self, current: Slice, judged: _Judged) -> None:
        """Find the slice's duplicates, and count its cells."""
        if self._rules.dedup:
            self._mark_duplicates(current, judged)
        current.offsets, current.stream_times, current.outcomes, events = judged
        counted = judged.outcomes == Outcome.COUNTED
        offsets, events = judged.offsets[counted], events.at(counted)
        are_trusted = trusted(events.pin_id, events.user_id, self._rules.trusted_cap)
        labels, assigned = self._labels, self._assigned
        counts = Counts(self._number, self._rules, offsets, events, are_trusted, labels, assigned, self._user_keys)
        current.cells = tuple(aggregate.cells_of(counts) for aggregate in AGGREGATES)

    def _mark_duplicates(self, current: Slice, judged: _Judged) -> None:
        bucket = current.arrived_at * 1000 // ARRIVAL_BUCKET_MS
        registers = judged.outcomes != Outcome.INVALID
        own = Ids(
            judged.events.event_id[registers],
            judged.offsets[registers],
            judged.stream_times[registers] // ARRIVAL_BUCKET_MS,
        )
        oldest = (current.slice_block - 1) * self._rules.slice_records
        matter = (self._ids.offsets >= oldest) & (self._ids.buckets >= bucket - 1)
        self._ids = Ids.joined([self._ids.at(matter), own])
        found = repeated(self._ids, self._rules.slice_records)
        at = np.searchsorted(judged.offsets, found[found >= current.start])
        judged.outcomes[at[judged.outcomes[at] == Outcome.COUNTED]] = Outcome.DUPLICATE


def recounted(
    log: Log, at: Partition, recount: Recount, end: int, progress: Progress = lambda _offsets: None
) -> Iterator[Slice]:
    """Yields the slices of a recount up to an offset."""
    if recount.position < end:
        for piece in log.read(at.topic, at.partition, recount.position):
            before = recount.position
            yield from recount.feed(piece, end)
            progress(recount.position - before)
            if recount.position >= end:
                break
    yield from recount.finish()


def _joined(parts: list[_Judged]) -> _Judged:
    offsets, stream_times, outcomes, events = zip(*parts, strict=True)
    return _Judged(
        np.concatenate(offsets), np.concatenate(stream_times), np.concatenate(outcomes), Events.joined(events)
    )


def _rejected(records: Records, index: int, outcome: Outcome, stream_time: int) -> Rejected:
    value = records.values[index]
    digest = None if value is None else md5(value, usedforsecurity=False).digest()
    offset, timestamp = int(records.offsets[index]), int(records.timestamps[index])
    return Rejected(offset, timestamp, outcome.name.lower(), digest, stream_time)
