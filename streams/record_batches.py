"""What a broker answers to a fetch, as record batches: found, their heads read, their CRC checked, decompressed.

The format, v2, is Kafka's: https://kafka.apache.org/documentation/#recordbatch. aiokafka's own parsers make an object
of each record, and give up on batches that no client would write but any may: none of them may stop its partition.

Importing this module puts `FetchedBatches` in the place of aiokafka's `MemoryRecords` in its fetcher, in this process.
`tests/unit/test_unpack.py` fails when aiokafka (0.14) changes how it uses them.
"""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.legacy_records import LegacyRecordBatch
from crc32c import crc32c
from numpy.typing import NDArray

from streams.codecs import decompress

NO_PRODUCER: Final = -1
_FRAME: Final = struct.Struct(">qi")  # base offset, and the bytes that follow
_MAGIC_AT: Final = 16
_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
_CHECKED_FROM: Final = struct.calcsize(">qiibI")  # the CRC is over all behind it
_CODEC, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """The head of a batch, and where its records are."""

    base_offset: int
    next_offset: int  # behind its last one
    attributes: int
    first_timestamp: int  # ms; those of its records are relative to it
    max_timestamp: int  # ms
    producer_id: int  # NO_PRODUCER where it has none
    count: int  # records
    text: NDArray[np.uint8]  # all that was fetched
    start: int  # of its records in the text, compressed or not
    end: int

    @property
    def has_append_time(self) -> bool:
        """All records have the time at which the broker appended them, which is `max_timestamp`."""
        return bool(self.attributes & _APPEND_TIME)

    @property
    def is_transactional(self) -> bool:
        """It belongs to a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        """It holds a marker, the end of a transaction, and no records of a producer."""
        return bool(self.attributes & _CONTROL)

    def records(self) -> tuple[NDArray[np.uint8], int, int]:
        """The text in which its records are, and from where to where. Raises BatchUnreadable."""
        codec = self.attributes & _CODEC
        if not codec:
            return self.text, self.start, self.end
        data = np.frombuffer(decompress(codec, self.text[self.start : self.end].data), np.uint8)
        return data, 0, len(data)


class FetchedBatches:
    """The bytes that were fetched of one partition; the last batch may be cut off."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._text = np.frombuffer(data, np.uint8)
        self._at = 0

    def size_in_bytes(self) -> int:
        """All of it, for aiokafka, which asks for more where not one batch is whole."""
        return len(self._data)

    def has_next(self) -> bool:
        """Whether another batch is whole."""
        return self._end() <= len(self._data)

    def next_batch(self) -> "RecordBatch | LegacyRecordBatch":
        """The next batch. Raises CorruptRecordException, and stays where it is, if it is not as it was written."""
        start, end = self._at, self._end()
        if end - start <= _MAGIC_AT:
            raise CorruptRecordException(f"a batch of {end - start} bytes")
        magic = self._data[start + _MAGIC_AT]
        batch = self._read_head(start, end) if magic == 2 else self._legacy(start, end, magic)
        self._at = end
        return batch

    def _end(self) -> int:
        if len(self._data) - self._at < _FRAME.size:
            return len(self._data) + 1
        _, size = _FRAME.unpack_from(self._data, self._at)
        return self._at + _FRAME.size + max(0, int(size))

    def _read_head(self, start: int, end: int) -> RecordBatch:
        if end - start < _HEAD.size:
            raise CorruptRecordException(f"a batch of {end - start} bytes")
        base_offset, _, _, _, crc, attributes, last, first_timestamp, max_timestamp, producer_id, _, _, count = (
            _HEAD.unpack_from(self._data, start)
        )
        if crc32c(self._data[start + _CHECKED_FROM : end]) != crc:
            raise CorruptRecordException(f"wrong CRC in the batch at offset {base_offset}")
        return RecordBatch(
            base_offset, base_offset + last + 1, attributes, first_timestamp, max_timestamp, producer_id, count,
            self._text, start + _HEAD.size, end,
        )  # fmt: skip

    def _legacy(self, start: int, end: int, magic: int) -> LegacyRecordBatch:
        batch = LegacyRecordBatch(bytes(self._data[start:end]), magic)
        if not batch.validate_crc():
            raise CorruptRecordException(f"wrong CRC in the message set up to offset {batch.next_offset - 1}")
        return batch


fetcher.MemoryRecords = FetchedBatches
