"""Batches that aiokafka's parser gives up on: none of them may stop its partition.

Kafka takes any bytes for a header's name; aiokafka decodes them strictly, in its C extension and in its Python parser
alike. Its own Python parser reads such a batch again here, with a buffer that decodes leniently. Ten times slower, so
only where the first reading failed. Of a batch that nobody can read, or that is far too large to be meant well, one
record without key and value is left, which becomes a dead letter; its other offsets are absent.

Touches aiokafka internals (aiokafka 0.14): `_DefaultRecordBatchPy._buffer`, `_maybe_uncompress`,
`_MemoryRecordsPy`, and the class `MemoryRecords` that its fetcher makes; `tests/unit/test_unpack.py` fails when they
change.
"""

import logging
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

from streams.codecs import BatchUnreadable

MAX_RECORDS = 1_000_000  # in one batch; a record takes seven bytes at least, and hundreds here
UNREADABLE = "pintally.unreadable"  # header of the record that stands for a batch: its offsets, and why
log = logging.getLogger(__name__)
_LENGTH = struct.Struct(">qi")  # base offset, and the bytes that follow


class StandIn(NamedTuple):
    """The record that stands for a whole batch."""

    offset: int
    timestamp: int  # ms
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class KeptRecords:
    """aiokafka's `MemoryRecords`, which forgets the bytes of a batch once it was read, and those bytes."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        records = _MemoryRecordsPy(data)  # the compiled one takes no views; both find the same batches
        self.has_next = records.has_next
        self.next_batch = records.next_batch
        self.size_in_bytes = records.size_in_bytes

    def records(self, batch: Any) -> list[Any]:
        """The records of a batch of these, undecodable bytes of header names as surrogates.

        One stands for all where they cannot be read, or are more than MAX_RECORDS.
        """
        try:
            if batch.next_offset - batch.base_offset > MAX_RECORDS:
                raise BatchUnreadable(f"it holds more than {MAX_RECORDS} records")
            try:
                return list(batch)
            except (UnicodeDecodeError, CorruptRecordException):
                return list(self._again(batch.base_offset))
        except (BatchUnreadable, CorruptRecordException) as error:
            log.error("the batch at offset %d, to %d, is unreadable: %s", batch.base_offset, batch.next_offset, error)
            said = f"offsets {batch.base_offset} to {batch.next_offset - 1}: {error}"
            return [StandIn(batch.base_offset, batch.max_timestamp, None, None, ((UNREADABLE, said.encode()),))]

    def _again(self, base_offset: int) -> Iterator[Any]:
        batch = _DefaultRecordBatchPy(self._bytes_of(base_offset))
        batch._maybe_uncompress()
        batch._buffer = _Lenient(batch._buffer)
        return iter(batch)

    def _bytes_of(self, base_offset: int) -> memoryview:
        at = 0
        while True:
            offset, length = _LENGTH.unpack_from(self._data, at)
            end = at + _LENGTH.size + length
            if offset == base_offset:
                return memoryview(self._data)[at:end]
            at = end


class _Lenient(bytearray):
    """A buffer whose slices decode with surrogateescape (PEP 383), as `sinks.letters` encodes again."""

    def __getitem__(self, at: Any) -> Any:
        found: Any = super().__getitem__(at)
        return _Lenient(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "surrogateescape" if errors == "strict" else errors)


fetcher.MemoryRecords = KeptRecords
