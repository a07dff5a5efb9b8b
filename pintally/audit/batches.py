"""Reads batches that kafka-python cannot read, or that would use too much memory.

Kafka accepts any bytes as the name of a header and any number as the offset of a record in its batch. kafka-python
raises on such names and returns such offsets in any order. The audit needs no headers and knows the offsets: a batch
that was never compacted has one record at each offset, in order. A compressed batch may unpack to any size. If it has
more than 32 MiB or 1,000,000 records, or cannot be read although its CRC is right, it counts as one record without key
and value (invalid, by the rules) at its first offset, and gaps at the others. `read_every_record` changes one consumer;
all other consumers of the process are not affected.
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
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

MAX_UNPACKED = 33_554_432  # bytes
MAX_RECORDS = 1_000_000


def read_every_record(consumer: KafkaConsumer) -> None:
    """Let the fetcher of this consumer (kafka-python 3.0) read batches as described above."""
    consumer._fetcher.PartitionRecords = PlainPartitionRecords


class PlainPartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
    """The class of kafka-python that unpacks records, with plain batches."""

    def _unpack_records(self, at: Any, records: MemoryRecords, *deserializers: Any) -> Iterator[Any]:
        return super()._unpack_records(at, PlainBatches(records), *deserializers)  # type: ignore[no-any-return]


class PlainBatches:
    """The batches of one answer as `PlainBatch`; batches of formats before version 2 are unchanged."""

    def __init__(self, records: MemoryRecords) -> None:
        self._records = records

    def next_batch(self) -> Any:
        """The next batch, or None at the end."""
        batch = self._records.next_batch()
        return PlainBatch(batch._buffer) if isinstance(batch, DefaultRecordBatch) else batch


class PlainBatch(DefaultRecordBatch):  # type: ignore[misc]
    """A batch whose records have no headers and ascending offsets."""

    _buffer: bytearray
    _pos: int
    _decompressed: bool

    def __iter__(self) -> Iterator[Any]:
        if self.is_control_batch:
            return iter(super().__iter__())
        try:
            if self.last_offset_delta >= MAX_RECORDS:
                raise CorruptRecordError(f"a batch of more than {MAX_RECORDS} records")
            super().__iter__()
            return iter(list(iter(lambda: next(self, None), None)))
        except CorruptRecordError:
            return iter((self._placeholder(),))

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
