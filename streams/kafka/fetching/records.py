"""The records of batches in columns, over the bytes that were fetched: no object is made of a record.

A compiled loop finds them where they are. Key and headers are read when somebody asks for them: of dead letters.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from aiokafka.errors import CorruptRecordException
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.util import decode_varint
from numpy.typing import NDArray

from pintally.schemas.dead_letters import UNREADABLE
from pintally.schemas.decoding.jit import BYTES, NOTHING, PLACES, TABLE, Word, compiled, part
from pintally.schemas.decoding.values import TOMBSTONE, Values
from pintally.streams.counting.log import Envelope
from pintally.streams.kafka.fetching.record_batches import (
    APPEND_TIME,
    CODEC,
    HEAD_BYTES,
    HEADS,
    MAGIC,
    BatchUnreadable,
    Heads,
    decompress,
)

MAX_RECORDS: Final = 1_000_000  # in one batch; a record takes seven bytes at least
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Records:
    """n records, ascending by offset."""

    offsets: NDArray[np.int64]  # shape (n,), as the next three
    timestamps: NDArray[np.int64]  # ms
    values: Values
    heads: NDArray[np.int64]  # bytes in front of each value that belong to its record: its key among them
    others: Mapping[int, Envelope]  # offset -> key and headers, of records whose bytes are not in the text

    @classmethod
    def joined(cls, parts: "Sequence[Records]") -> "Records":
        """All of these, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            _joined([each.offsets for each in parts]),
            _joined([each.timestamps for each in parts]),
            Values.joined([each.values for each in parts]),
            _joined([each.heads for each in parts]),
            {offset: envelope for each in parts for offset, envelope in each.others.items()},
        )

    @classmethod
    def of(cls, records: Sequence[tuple[int, int | None, bytes | None, Envelope]]) -> "Records":
        """Of records as objects: offset, timestamp (ms, None for none), value, key and headers."""
        return cls(
            np.array([offset for offset, _, _, _ in records], np.int64),
            np.array([-1 if timestamp is None else timestamp for _, timestamp, _, _ in records], np.int64),
            Values.of([value for _, _, value, _ in records]),
            np.zeros(len(records), np.int64),
            {offset: envelope for offset, _, _, envelope in records},
        )

    def since(self, offset: int) -> "Records":
        """Records with offset >= `offset`."""
        if not len(self.offsets) or self.offsets[0] >= offset:
            return self
        wanted = slice(int(self.offsets.searchsorted(offset)), None)
        return Records(
            self.offsets[wanted], self.timestamps[wanted], self.values[wanted], self.heads[wanted], self.others
        )

    def envelopes(self, offsets: Sequence[int]) -> dict[int, Envelope]:
        """Key and headers of the records at these offsets; a name's bytes that are not UTF-8 as surrogates."""
        rows = self.offsets.searchsorted(np.asarray(offsets, np.int64)).tolist()
        return {
            offset: self.others[offset] if offset in self.others else self._envelope(row)
            for offset, row in zip(offsets, rows, strict=True)
        }

    def _envelope(self, row: int) -> Envelope:
        text, value, size = self.values.text.data, int(self.values.starts[row]), int(self.values.lengths[row])
        _, at = decode_varint(text, value - int(self.heads[row]) + 1)  # behind the attributes: how much later it came
        _, at = decode_varint(text, at)  # its place in the batch
        key, _ = _nullable(text, at)
        count, at = decode_varint(text, value + max(0, size))
        headers = []
        for _ in range(count):
            name, at = _nullable(text, at)
            content, at = _nullable(text, at)
            headers.append(((name or b"").decode("utf-8", "surrogateescape"), content))
        return key, tuple(headers)


def read_records(text: NDArray[np.uint8], heads: Heads) -> Records:
    """The records of batches in this text.

    A batch that nobody can read becomes one placeholder record; its other offsets are gaps.
    """
    try:
        return Records.joined([_read(text, heads[alike]) for alike in _runs(heads)])
    except BatchUnreadable as error:
        if len(heads) > 1:
            return Records.joined([read_records(text, heads[at : at + 1]) for at in range(len(heads))])
        return _placeholder(heads[0], error)


def _runs(heads: Heads) -> Iterator[slice]:
    """The batches that are read at once: neighbours that are not compressed, each other one alone."""
    if not len(heads):
        return
    plain = (heads["magic"] == MAGIC) & (heads["attributes"] & CODEC == 0)
    cuts = (~(plain[1:] & plain[:-1])).nonzero()[0] + 1
    for start, end in pairwise([0, *cuts.tolist(), len(heads)]):
        yield slice(start, end)


def _placeholder(head: Any, error: BatchUnreadable) -> Records:
    """The record in the place of a batch that nobody can read: a tombstone at its first offset."""
    offset, end = int(head["base_offset"]), int(head["next_offset"])
    log.error(
        "the batch of offsets %d to %d cannot be read and becomes a dead letter: %s", offset, end - 1, error,
        extra={"offset": offset, "end": end, "reason": str(error)},
    )  # fmt: skip
    said = f"offsets {offset} to {end - 1}: {error}"
    return Records.of([(offset, int(head["max_timestamp"]), None, (None, ((UNREADABLE, said.encode()),)))])


def _read(text: NDArray[np.uint8], heads: Heads) -> Records:
    """The records of one of `_runs`. Raises BatchUnreadable."""
    first = heads[0]
    if first["magic"] != MAGIC:
        return _read_legacy(text[first["start"] : first["end"]].tobytes(), int(first["magic"]))
    counts = heads["count"].tolist()
    if max(*counts, *(heads["next_offset"] - heads["base_offset"]).tolist()) > MAX_RECORDS:
        raise BatchUnreadable(f"it holds more than {MAX_RECORDS} records")
    starts, ends = heads["start"] + HEAD_BYTES, heads["end"].copy()
    if codec := int(first["attributes"]) & CODEC:
        text = np.frombuffer(decompress(codec, text[starts[0] : ends[0]].data), np.uint8)
        starts, ends = np.array([0]), np.array([len(text)])
    columns = np.empty((5, sum(max(0, count) for count in counts)), np.int64)
    try:
        _find_records(text, heads, starts, ends, columns)
    except (ValueError, IndexError) as error:
        raise BatchUnreadable(f"it is not what Kafka's format asks for: {error}") from error
    offsets, timestamps, places, lengths, before = columns
    return Records(offsets, timestamps, Values(text, places, lengths), before, {})


@part
def _varint(text: NDArray[np.uint8], at: np.int64) -> tuple[np.int64, np.int64]:
    """A zigzag number there, of ten bytes at most, and the place behind it."""
    number, shift, byte = Word(0), 0, np.int64(0x80)
    while byte >= 0x80:
        if shift > 63:
            raise ValueError("a number of more than ten bytes")
        byte = np.int64(text[at])
        number |= Word(byte & 0x7F) << Word(shift)
        shift += 7
        at += 1
    return np.int64(number >> Word(1)) ^ -np.int64(number & Word(1)), at


@part
def _skip(text: NDArray[np.uint8], at: np.int64, end: np.int64) -> tuple[np.int64, np.int64, np.int64]:
    """Of bytes that say their length first: where they begin, how many they are (-1: none), the place behind them."""
    size, start = _varint(text, at)
    if size > end - start:
        raise ValueError("a field that is longer than its record")
    return start, max(size, np.int64(TOMBSTONE)), start + max(size, np.int64(0))


@compiled(NOTHING, BYTES, HEADS, PLACES, PLACES, TABLE)
def _find_records(
    text: NDArray[np.uint8],
    heads: Any,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> None:
    """Finds the records of batches, which must fill the text from their starts to their ends; 0.02 us each.

    Columns: offset, Kafka timestamp, where the value begins and how long it is (-1: a tombstone), and how many bytes of
    the record stand before it. Raises ValueError or IndexError for what is not in Kafka's format.
    """
    row = 0
    for batch in range(len(heads)):
        head, at = heads[batch], starts[batch]
        # A batch that was never compacted has a record at each offset, in order. Where that is so, what the records say
        # of their offsets is not asked: the broker does not check it, and a producer may write anything there.
        is_whole = head.count == head.next_offset - head.base_offset
        for place in range(head.count):
            size, start = _varint(text, at)
            stop = start + size
            later, at = _varint(text, start + 1)  # behind a byte of attributes
            said, at = _varint(text, at)
            _, _, at = _skip(text, at, stop)
            columns[2, row], columns[3, row], at = _skip(text, at, stop)
            columns[0, row] = head.base_offset + (place if is_whole else said)
            columns[1, row] = head.max_timestamp if head.attributes & APPEND_TIME else head.first_timestamp + later
            columns[4, row] = columns[2, row] - start
            headers, at = _varint(text, at)
            if headers < 0:
                raise ValueError("less than no headers")
            for _ in range(headers):
                _, name, at = _skip(text, at, stop)
                if name < 0:
                    raise ValueError("a header without a name")
                _, _, at = _skip(text, at, stop)
            if at != stop:
                raise ValueError("a record that is not as long as it says")
            row += 1
        if at != ends[batch]:
            raise ValueError("bytes behind the last record")


def _read_legacy(data: bytes, magic: int) -> Records:
    """A message set of Kafka before 0.11, which a log may still hold, by aiokafka's parser."""
    batch = LegacyRecordBatch(data, magic)
    if not batch.validate_crc():
        raise CorruptRecordException(f"wrong CRC in the message set up to offset {batch.next_offset - 1}")
    return Records.of([(each.offset, each.timestamp, each.value, (each.key, ())) for each in batch])


def _nullable(text: memoryview, at: int) -> tuple[bytes | None, int]:
    size, start = decode_varint(text, at)
    end = start + max(0, size)
    return (None if size < 0 else bytes(text[start:end])), end


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
