"""Gives out batches whole, and reads those that kafka-python cannot read or that would use too much memory.

kafka-python makes an object of each record, which costs more than all the rest of a recount. So this consumer gives out
a batch as one record whose value is the batch (aborted and control batches are left out by kafka-python, as ever), and
records.py reads the records of many batches at once.

Kafka accepts any bytes as the name of a header and any number as the offset of a record in its batch. kafka-python
raises on such names and returns such offsets in any order. The audit needs no headers and knows the offsets: a batch
that was never compacted has one record at each offset, in order. A compressed batch may unpack to any size. If it has
more than 32 MiB or 1,000,000 records, or cannot be read although its CRC is right, it counts as one record without key
and value (invalid, by the rules) at its first offset, and gaps at the others. `read_batches` changes one consumer; all
other consumers of the process are not affected.
"""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import lz4.frame
import zstandard
from kafka import KafkaConsumer
from kafka.codec import snappy_decode
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError, KafkaError
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

MAX_UNPACKED = 33_554_432  # bytes
MAX_RECORDS = 1_000_000
TAKEN = 20_000  # records


def read_batches(consumer: KafkaConsumer) -> None:
    """Let the fetcher of this consumer (kafka-python 3.0) give out batches as described above.

    Its `max_poll_records` must be 1: a poll then gives out the batches of TAKEN records, or of one fetch.
    """
    consumer._fetcher.PartitionRecords = WholeBatches


class WholeBatches(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The class of kafka-python that unpacks records, with plain batches."""

    _next_inline_exception: Exception | None

    def _unpack_records(self, at: Any, records: MemoryRecords, *deserializers: Any) -> Iterator[Any]:
        return super()._unpack_records(at, PlainBatches(records), *deserializers)  # type: ignore[no-any-return]

    def take(self, n: int | None = None) -> list[Any]:
        """Batches of at least TAKEN records, if the fetch has so many."""
        taken: list[Any] = super().take(n)
        records = 0
        while taken and self and self._next_inline_exception is None:
            value = taken[-1].value
            records += value.records_count if isinstance(value, PlainBatch) else 1
            if records >= TAKEN:
                break
            try:
                more = super().take(n)
            except KafkaError as error:  # for the next poll: what was taken is good
                self._next_inline_exception = error
                break
            if not more:
                break
            taken += more
        return taken


class PlainBatches:
    """The batches of one answer as `PlainBatch`; batches of formats before version 2 are unchanged."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    def next_batch(self) -> Any:
        """The next batch, or None at the end."""
        batch = self._records.next_batch()
        return PlainBatch(batch._buffer) if isinstance(batch, DefaultRecordBatch) else batch


class PlainBatch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch whose records have no headers and ascending offsets. Iteration gives one record, whose value it is."""

    _buffer: bytearray
    _pos: int
    _decompressed: bool

    def __len__(self) -> int:
        return len(self._buffer)

    def __iter__(self) -> Iterator[Any]:
        if self.is_control_batch:
            return iter(super().__iter__())
        return iter((DefaultRecord(len(self), self.last_offset, -1, self.timestamp_type, None, self, []),))

    @property
    def is_stamped(self) -> bool:
        """Whether the broker has given all its records one timestamp."""
        return bool(self.timestamp_type == self.LOG_APPEND_TIME)

    def unpacked(self) -> bytes:
        """Its records as bytes. Raises CorruptRecordError if it is too large or cannot be unpacked."""
        if self.last_offset_delta >= MAX_RECORDS:
            raise CorruptRecordError(f"a batch of more than {MAX_RECORDS} records")
        self._maybe_uncompress()
        return bytes(memoryview(self._buffer)[self._pos :])

    def each(self) -> list[Any]:
        """Its records one by one, or one without key and value if they cannot be read."""
        try:
            self.unpacked()
            return list(iter(lambda: next(self, None), None))
        except CorruptRecordError:
            return [self._placeholder()]

    def _maybe_uncompress(self) -> None:
        if not self._decompressed and self.compression_type != self.CODEC_NONE:
            self._assert_has_codec(self.compression_type)
            self._buffer = _unpacked(self.compression_type, memoryview(self._buffer)[self._pos :])
            self._pos = 0
        self._decompressed = True

    def _placeholder(self) -> Any:
        return DefaultRecord(0, self.base_offset, self.max_timestamp, self.timestamp_type, None, None, [])

    def _read_msg(self, *_: Any) -> Any:
        if self.is_control_batch:
            return super()._read_msg()
        buffer = self._buffer
        length, start = decode_varint(buffer, self._pos)
        _, at = decode_varint(buffer, start)  # attributes, unused by Kafka
        later, at = decode_varint(buffer, at)
        delta, at = decode_varint(buffer, at)
        key, at = _nullable(buffer, at)
        value, at = _nullable(buffer, at)
        if at >= start + length > 0:  # at least the number of headers follows
            raise ValueError(f"a record of {length} bytes holds more")
        self._pos = start + length
        if self.records_count == self.last_offset_delta + 1:
            delta = self._next_record_index
        timestamp = self.max_timestamp if self.timestamp_type == self.LOG_APPEND_TIME else self.first_timestamp + later
        return DefaultRecord(length, self.base_offset + delta, timestamp, self.timestamp_type, key, value, [])


def _nullable(buffer: bytearray, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(buffer, at)
    return (None, at) if length < 0 else (bytes(buffer[at : at + length]), at + length)


def _gzip(data: Any) -> bytes:
    unpacked, rest = b"", bytes(data)
    while rest and len(unpacked) <= MAX_UNPACKED:
        member = zlib.decompressobj(31)
        unpacked += member.decompress(rest, MAX_UNPACKED + 1)
        if not member.eof and len(unpacked) <= MAX_UNPACKED:
            raise EOFError("a gzip member without an end")
        rest = member.unused_data
    return unpacked


def _lz4(data: Any) -> bytes:
    with lz4.frame.open(BytesIO(data)) as file:
        unpacked: bytes = file.read(MAX_UNPACKED + 1)
        return unpacked


def _zstd(data: Any) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(BytesIO(data), read_across_frames=True) as reader:
        return reader.read(MAX_UNPACKED + 1)


DECODERS = {
    DefaultRecordBatch.CODEC_GZIP: _gzip,
    DefaultRecordBatch.CODEC_SNAPPY: lambda data: snappy_decode(bytes(data)),
    DefaultRecordBatch.CODEC_LZ4: _lz4,
    DefaultRecordBatch.CODEC_ZSTD: _zstd,
}


def _unpacked(codec: int, data: memoryview) -> bytearray:
    try:
        unpacked = DECODERS[codec](data)
    except (OSError, EOFError, RuntimeError, ValueError, struct.error, zlib.error, zstandard.ZstdError) as error:
        raise CorruptRecordError(f"a batch that cannot be unpacked: {error!r}") from error
    if len(unpacked) > MAX_UNPACKED:
        raise CorruptRecordError(f"a batch of more than {MAX_UNPACKED} bytes")
    return bytearray(unpacked)
