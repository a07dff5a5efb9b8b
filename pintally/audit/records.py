"""Records of a log in columns. The batches of one fetch are read together, field by field instead of record by record.

Only well-formed batches are read in this way. Where anything is unusual, the batch is read record by record, by
`PlainBatch` in batches.py, which also says what becomes of a batch that nobody can read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, Protocol

import numpy as np
from kafka.errors import CorruptRecordError
from kafka.record.util import decode_varint
from numpy.typing import NDArray

from pintally.audit.batches import PlainBatch

Numbers = NDArray[np.int64]
MOST_BYTES = 64 << 20
_SPARE = bytes(16)  # behind the last record: a number that is cut off is read into it, and then refused
_LONGEST = 56  # bits before the ninth and last byte of a number that is read here
_FAR = 1 << 61  # timestamps (ms) that are added without overflow
_INT64 = np.iinfo(np.int64)


class LogRecord(NamedTuple):
    """One record. `timestamp` is Unix ms, negative if it has none."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class AnyRecord(Protocol):
    """What a record must have to be put into columns."""

    @property
    def offset(self) -> int: ...  # noqa: D102

    @property
    def timestamp(self) -> int: ...  # noqa: D102

    @property
    def value(self) -> bytes | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Records:
    """Columns of records, ascending by offset."""

    offsets: Numbers
    timestamps: Numbers
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]

    @classmethod
    def of(cls, records: Iterable[AnyRecord]) -> "Records":
        """The columns of single records."""
        each = list(records)
        stamps = [min(max(record.timestamp, _INT64.min), _INT64.max) for record in each]
        return cls(
            np.array([record.offset for record in each], np.int64),
            np.array(stamps, np.int64),
            [getattr(record, "key", None) for record in each],
            [record.value for record in each],
        )

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[LogRecord]:
        columns = self.offsets.tolist(), self.timestamps.tolist(), self.keys, self.values
        return map(LogRecord, *columns)

    def between(self, start: int, end: int) -> "Records":
        """Those with offsets in [start, end)."""
        low, high = np.searchsorted(self.offsets, (start, end)).tolist()
        return self if low == 0 and high == len(self) else self.part(low, high)

    def part(self, low: int, high: int) -> "Records":
        """Those at the places [low, high)."""
        return Records(self.offsets[low:high], self.timestamps[low:high], self.keys[low:high], self.values[low:high])


def columns_of(found: list[Any]) -> Iterator[Records]:
    """What a consumer gave out, in columns of not much more than MOST_BYTES at once. Empties the list on the way."""
    taken: list[Any] = []
    size = 0
    for index, record in enumerate(found):
        found[index] = None  # so that what is unpacked can be forgotten
        taken.append(record)
        size += _unpacked_bytes(record.value)
        if size >= MOST_BYTES:
            yield records_of(taken)
            taken, size = [], 0
    if taken:
        yield records_of(taken)


def _unpacked_bytes(value: Any) -> int:
    try:
        return len(value.unpacked() if isinstance(value, PlainBatch) else value or b"")
    except CorruptRecordError:
        return 0


def records_of(found: Sequence[Any]) -> Records:
    """The columns of what a consumer gave out: records whose value is a `PlainBatch`, or plain records."""
    parts = [
        _of_batches([record.value for record in group]) if batches else Records.of(group)
        for batches, group in groupby(found, key=lambda record: isinstance(record.value, PlainBatch))
    ]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[Records]) -> Records:
    return Records(
        np.concatenate([np.empty(0, np.int64), *(part.offsets for part in parts)]),
        np.concatenate([np.empty(0, np.int64), *(part.timestamps for part in parts)]),
        [key for part in parts for key in part.keys],
        [value for part in parts for value in part.values],
    )


def _of_batches(batches: Sequence[PlainBatch]) -> Records:
    if (read := _together(batches)) is not None:
        return read
    if len(batches) == 1:
        return Records.of(batches[0].each())
    return _joined([_of_batches([batch]) for batch in batches])


def _together(batches: Sequence[PlainBatch]) -> Records | None:
    """The columns of well-formed batches; None if one of them is not."""
    pieces: list[bytes] = []
    starts: list[int] = []
    lengths: list[int] = []
    base = 0
    for batch in batches:
        try:
            piece = batch.unpacked()
            _places(piece, batch.records_count, base, starts, lengths)
        except (CorruptRecordError, IndexError, ValueError):
            return None
        pieces.append(piece)
        base += len(piece)
    data = b"".join((*pieces, _SPARE))
    return _columns(batches, data, np.array(starts, np.int64), np.array(lengths, np.int64))


def _places(piece: bytes, count: int, base: int, starts: list[int], lengths: list[int]) -> None:
    """Add where the records of a piece begin, behind their lengths, and how long they are. Raises on a false one."""
    at = 0
    for _ in range(count):
        length = piece[at]
        at += 1
        if length & 1:
            raise ValueError("a negative length")
        if length & 0x80:
            more = piece[at]
            if more & 0x80:
                length, at = decode_varint(piece, at - 1)
                length <<= 1
            else:
                length = length & 0x7F | more << 7
                at += 1
        length >>= 1
        starts.append(base + at)
        lengths.append(length)
        at += length
    if at != len(piece):
        raise ValueError("bytes behind the last record")


def _columns(batches: Sequence[PlainBatch], data: bytes, starts: Numbers, lengths: Numbers) -> Records | None:
    """Columns of the records that begin at `starts`; None if one of them is not well-formed."""
    octets, ends = np.frombuffer(data, np.uint8), starts + lengths
    fields = _fields(octets, starts, ends)
    if fields is None:
        return None
    later, delta, (key_at, key_to), (value_at, value_to) = fields
    counts = [batch.records_count for batch in batches]
    plain = all(batch.records_count == batch.last_offset_delta + 1 for batch in batches)
    if plain:
        first = np.cumsum([0, *counts[:-1]])
        delta = np.arange(len(starts)) - np.repeat(first, counts)
    offsets = np.repeat(np.array([batch.base_offset for batch in batches], np.int64), counts) + delta
    stamps = [(batch.max_timestamp, 0) if batch.is_stamped else (batch.first_timestamp, 1) for batch in batches]
    if max((abs(stamp) for stamp, _ in stamps), default=0) >= _FAR or np.any(np.abs(later) >= _FAR):
        return None
    of_batch = np.repeat(np.array(stamps, np.int64).reshape(-1, 2), counts, axis=0)
    return Records(
        offsets,
        of_batch[:, 0] + of_batch[:, 1] * later,
        _cut(data, key_at, key_to),
        _cut(data, value_at, value_to),
    )


Place = tuple[Numbers, Numbers]


def _fields(octets: NDArray[np.uint8], starts: Numbers, ends: Numbers) -> tuple[Numbers, Numbers, Place, Place] | None:
    """Timestamp delta, offset delta, and where key and value stand (to < at: there is none)."""
    if np.any(ends - starts < 6) or np.any(octets[starts] & 0x80):  # six fields of a byte at least
        return None
    numbers: list[Numbers] = []
    places: list[Place] = []
    at = starts + 1  # behind the attributes
    for is_bytes in (False, False, True, True):
        read = _varints(octets, at)
        if read is None:
            return None
        number, at = read
        if not is_bytes:
            numbers.append(number)
            continue
        to = at + np.maximum(number, 0)
        if np.any((number >= ends - at) | (at >= ends)):  # at least the number of headers follows
            return None
        places.append((at, np.where(number < 0, at - 1, to)))
        at = to
    return numbers[0], numbers[1], places[0], places[1]


def _varints(octets: NDArray[np.uint8], at: Numbers) -> tuple[Numbers, Numbers] | None:
    """The numbers at some places (zigzag, seven bits a byte), and the places behind them; None if one is too long."""
    octet = octets[at]
    bits, behind = (octet & 0x7F).astype(np.uint64), at + 1
    more, shift = np.flatnonzero(octet & 0x80), 7
    while len(more):
        if shift > _LONGEST or behind[more].max() >= len(octets):
            return None
        octet = octets[behind[more]]
        bits[more] |= (octet & 0x7F).astype(np.uint64) << np.uint64(shift)
        behind[more] += 1
        more, shift = more[(octet & 0x80) != 0], shift + 7
    return (bits >> np.uint64(1)).astype(np.int64) ^ -(bits & np.uint64(1)).astype(np.int64), behind


def _cut(data: bytes, at: Numbers, to: Numbers) -> list[bytes | None]:
    cut: list[bytes | None] = [data[low:high] for low, high in zip(at.tolist(), to.tolist(), strict=True)]
    for index in np.flatnonzero(to < at).tolist():
        cut[index] = None
    return cut
