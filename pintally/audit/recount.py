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

Duplicates are found by sorting: equal ids are neighbours, in offset order. Since blocks and stream times only grow, the
nearest earlier record with the id decides.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import md5
from struct import Struct
from typing import NamedTuple

from pintally.audit.aggregates import AGGREGATES
from pintally.audit.contract import ACTIONS, read_event
from pintally.audit.log import LogRecord, Piece
from pintally.audit.rules import ARRIVAL_BUCKET_MS, MINUTE_MS, CountingRules

_ID_PLACE = Struct(">QI")  # offset and bucket: they follow the 16 bytes of the id in a sorted entry
OFFSET_BITS = 48  # as in a row's version
OFFSET = (1 << OFFSET_BITS) - 1
_NEVER = 1 << 63


class Outcome(IntEnum):
    """The outcome of a record. The numbers are used in this module only."""

    INVALID = 0
    LATE = 1
    DUPLICATE = 2
    COUNTED = 3


@dataclass(frozen=True, slots=True)
class SliceStart:
    """An offset and the source's stream time (ms) before it."""

    offset: int
    stream_time: int


class Rejected(NamedTuple):
    """A late or invalid record, for its dead letter. `digest` is the MD5 of the value, None for a tombstone."""

    offset: int
    timestamp: int
    outcome: str
    digest: bytes | None
    stream_time: int  # of the source, this record included


class State(NamedTuple):
    """The state of a slice at a position."""

    stream_time: int
    counted: int
    duplicate: int
    late: int
    invalid: int
    gaps: int


@dataclass(slots=True)
class Slice:
    """One slice, recounted up to `end`. Arrays have one entry a record, ascending by offset.

    `counted` has for each aggregate one number a counted record, ascending when the slice is given out: the key of the
    cell that it adds to, and in the lowest OFFSET_BITS its offset.
    """

    slice_block: int
    arrived_at: int  # seconds since 1970
    start: int
    start_stream_time: int
    end: int = -1
    complete: bool = False  # the next offset is known to belong to another slice
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    stream_times: "array[int]" = field(default_factory=lambda: array("q"))
    outcomes: bytearray = field(default_factory=bytearray)
    counted: list[list[int]] = field(default_factory=lambda: [[] for _ in AGGREGATES])
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def key(self) -> tuple[int, int]:
        """The name of the slice in ClickHouse; ascending in the order of the log."""
        return self.slice_block, self.arrived_at

    def at(self, position: int) -> State:
        """Returns stream time and outcomes of [start, position), for any position from start to end."""
        records = bisect_left(self.offsets, position)
        invalid, late, duplicate, counted = (self.outcomes.count(outcome, 0, records) for outcome in Outcome)
        stream_time = self.stream_times[records - 1] if records else self.start_stream_time
        return State(stream_time, counted, duplicate, late, invalid, position - self.start - records)


class Recount:
    """Folds a log from `place` on. It yields slices from the offset `first` on, and collects ids before it."""

    def __init__(self, action: str, rules: CountingRules, place: SliceStart, first: int) -> None:
        self.position = place.offset
        self._action = action
        self._number = next(number for number, label in ACTIONS.items() if label == action)
        self._rules = rules
        self._stream_time = place.stream_time
        self._first = first
        self._ids: list[bytes] = []  # sorted entries of earlier slices that may still matter
        self._open_ids: list[bytes] = []  # entries of the open slice
        self._slice = self._begin(place.offset)
        self._block_end = (self._slice.slice_block + 1) * rules.slice_records
        self._cut = self._next_cut(place.offset)

    @property
    def stream_time(self) -> int:
        """The source's stream time at `position`, ms."""
        return self._stream_time

    def feed(self, piece: Piece, until: int = _NEVER) -> Iterator[Slice]:
        """Fold a piece of the log, up to the offset `until`; yields the slices that ended."""
        action, rules = self._action, self._rules
        skew, retention, prefix = rules.max_clock_skew_ms, rules.retention_ms, rules.prefix_bytes
        settled_after = MINUTE_MS + rules.allowed_lateness_ms
        for record in piece.records:
            offset = record.offset
            if offset >= until:
                break
            if offset >= self._cut:
                yield from self._cross(offset)
            timestamp = record.timestamp if record.timestamp >= 0 else self._stream_time
            if timestamp > self._stream_time:
                if timestamp // ARRIVAL_BUCKET_MS > self._stream_time // ARRIVAL_BUCKET_MS:
                    yield from self._end(offset)
                    self._slice.arrived_at = timestamp // ARRIVAL_BUCKET_MS * (ARRIVAL_BUCKET_MS // 1000)
                self._stream_time = timestamp
            current = self._slice
            event = read_event(record.value, action, prefix)
            if (
                event is None
                or record.timestamp < 0
                or not timestamp - retention <= event.occurred_at <= timestamp + skew
            ):
                outcome = Outcome.INVALID
            else:
                minute = event.occurred_at // MINUTE_MS
                outcome = Outcome.LATE if minute * MINUTE_MS + settled_after <= self._stream_time else Outcome.COUNTED
                if outcome is Outcome.COUNTED:  # so far: duplicates are found at the end
                    for counted, aggregate in zip(current.counted, AGGREGATES, strict=True):
                        counted.append(aggregate.key_of(self._number, minute * 60, event) << OFFSET_BITS | offset)
                self._open_ids.append(event.event_id + _ID_PLACE.pack(offset, self._stream_time // ARRIVAL_BUCKET_MS))
            if outcome <= Outcome.LATE:
                current.rejected.append(_rejected(record, outcome, self._stream_time))
            current.offsets.append(offset)
            current.stream_times.append(self._stream_time)
            current.outcomes.append(outcome)
        yield from self._advance(min(piece.end, until))

    def finish(self) -> Iterator[Slice]:
        """Yields the open slice as far as it was read, and ends the recount."""
        yield from self._close(self.position, complete=self.position >= self._cut)

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
        self._settle(current)
        if current.start >= self._first and end > current.start:
            yield current

    def _settle(self, current: Slice) -> None:
        """Find the slice's duplicates and sort its counted records."""
        if self._rules.dedup:
            self._mark_duplicates(current)
        outcomes = zip(current.offsets, current.outcomes, strict=True)
        duplicates = {offset for offset, outcome in outcomes if outcome == Outcome.DUPLICATE}
        current.counted = [sorted(n for n in counted if n & OFFSET not in duplicates) for counted in current.counted]

    def _mark_duplicates(self, current: Slice) -> None:
        slice_records = self._rules.slice_records
        bucket = current.arrived_at * 1000 // ARRIVAL_BUCKET_MS
        entries = [entry for entry in self._ids if self._matters(entry, current.slice_block, bucket)]
        entries += self._open_ids
        entries.sort()
        self._ids, self._open_ids = entries, []
        earlier = b""
        for entry in entries:
            if entry[:16] == earlier[:16]:
                offset, own_bucket = _ID_PLACE.unpack_from(entry, 16)
                before, its_bucket = _ID_PLACE.unpack_from(earlier, 16)
                near = offset // slice_records - before // slice_records <= 1 and own_bucket - its_bucket <= 1
                if near and offset >= current.start:
                    at = bisect_left(current.offsets, offset)
                    if current.outcomes[at] == Outcome.COUNTED:
                        current.outcomes[at] = Outcome.DUPLICATE
            earlier = entry

    def _matters(self, entry: bytes, slice_block: int, bucket: int) -> bool:
        offset, its_bucket = _ID_PLACE.unpack_from(entry, 16)
        return bool(offset >= (slice_block - 1) * self._rules.slice_records and its_bucket >= bucket - 1)


def _rejected(record: LogRecord, outcome: Outcome, stream_time: int) -> Rejected:
    digest = None if record.value is None else md5(record.value, usedforsecurity=False).digest()
    return Rejected(record.offset, record.timestamp, outcome.name.lower(), digest, stream_time)
