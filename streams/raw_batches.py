"""Batches that aiokafka's parser gives up on, read once more from their bytes: header names that are not UTF-8.

Kafka takes any bytes for a header's name; aiokafka decodes them strictly, in its C extension and in its Python parser
alike, and one such record would stop its partition for ever. aiokafka's own Python parser reads the batch again here,
with a buffer that decodes leniently. Ten times slower, so only where the first reading failed.

Touches aiokafka internals (aiokafka 0.14): `_DefaultRecordBatchPy._buffer`, `_maybe_uncompress`, and the class
`MemoryRecords` that its fetcher makes; `tests/unit/test_unpack.py` fails when they change.
"""

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH = struct.Struct(">qi")  # base offset, and the bytes that follow


class KeptRecords:
    """aiokafka's `MemoryRecords`, which forgets the bytes of a batch once it was read, and those bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        records = MemoryRecords(data)
        self.has_next = records.has_next
        self.next_batch = records.next_batch
        self.size_in_bytes = records.size_in_bytes

    def again(self, base_offset: int) -> Iterator[Any]:
        """The records of the batch that starts at `base_offset`, undecodable bytes of header names as surrogates.

        Raises CorruptRecordException if they cannot be read all the same.
        """
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
