"""What a broker answers to a fetch: record batches, their heads in columns, their CRC checked, decompressed.

The format, v2, is Kafka's: https://kafka.apache.org/documentation/#recordbatch. aiokafka's own parsers make an object
of each batch and record, and give up on batches that no client would write but any may: none may stop its partition.
Its decoders also take any size: 20 KB of zstd can unpack to a gigabyte, and one such batch would end every worker.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import cramjam
import lz4.frame
import numba
import numpy as np
import zstandard
from aiokafka.codec import snappy_decode
from aiokafka.errors import CorruptRecordException
from crc32c import crc32c
from numba import types
from numpy.typing import NDArray

from pintally.schemas.decoding.jit import BYTES, NUMBER, compiled, part

MAGIC: Final = 2  # of the format
CODEC, APPEND_TIME, TRANSACTIONAL, CONTROL = 0x07, 0x08, 0x10, 0x20  # bits of the attributes

MAX_UNPACKED: Final = 32 << 20  # bytes; a batch of Kafka's usual limit of 1 MiB rarely unpacks to 10 MiB
_FAILURES = (
    OSError, EOFError, RuntimeError, ValueError, struct.error, zlib.error, zstandard.ZstdError,
    cramjam.DecompressionError,
)  # fmt: skip

HEAD: Final = np.dtype(
    [
        ("start", "<i8"),  # of the batch, in what was fetched
        ("end", "<i8"),
        ("magic", "<i8"),  # the format's version; with one below MAGIC only this, `start` and `end` are set
        ("base_offset", "<i8"),
        ("next_offset", "<i8"),  # behind its last one
        ("attributes", "<i8"),
        ("first_timestamp", "<i8"),  # ms; those of its records are relative to it
        ("max_timestamp", "<i8"),  # ms
        ("producer_id", "<i8"),  # -1 where it has none
        ("count", "<i8"),  # records
        ("crc", "<i8"),
    ]
)
HEADS: Final = types.Array(numba.from_dtype(HEAD), 1, "C")
Heads = NDArray[np.void]  # of HEAD, one a batch
_FRAME, _MAGIC_AT, _CHECKED_FROM, HEAD_BYTES = 12, 16, 21, 61  # base offset and size; the CRC is over all from 21 on


class BatchUnreadable(Exception):
    """A batch that is whole (its CRC is right) and cannot be read: fetching it again would not help."""


class FetchedBatches:
    """The bytes that were fetched of one partition, whose last batch may be cut off.

    `consumer` has aiokafka's fetcher make it in the place of its `MemoryRecords`, which hides the bytes.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self.text: NDArray[np.uint8] = np.frombuffer(data, np.uint8)

    def has_next(self) -> bool:
        """Asked by the fetcher: whether there is a whole batch."""
        return _find_batches(self.text, np.empty(0, HEAD)) > 0

    def size_in_bytes(self) -> int:
        """Asked by the fetcher where there is none: a batch that is larger than a fetch may be."""
        return len(self.text)

    def heads(self) -> Heads:
        """The heads of all whole batches. Raises CorruptRecordException if one is not as it was written."""
        heads, data = np.empty(_find_batches(self.text, np.empty(0, HEAD)), HEAD), self.text.data
        _find_batches(self.text, heads)
        for start, end, magic, crc in heads[["start", "end", "magic", "crc"]].tolist():
            if (end - start < HEAD_BYTES and magic >= MAGIC) or end - start <= _MAGIC_AT:
                raise CorruptRecordException(f"a batch of {end - start} bytes")
            if magic == MAGIC and crc32c(data[start + _CHECKED_FROM : end]) != crc:
                raise CorruptRecordException(f"wrong CRC in the batch of {end - start} bytes at byte {start}")
        return heads


@part
def _integer(text: NDArray[np.uint8], at: np.int64, size: int) -> np.int64:
    """The big-endian integer of so many bytes; one of fewer than eight is taken as unsigned."""
    number = np.int64(0)
    for place in range(size):
        number = number << 8 | np.int64(text[at + place])
    return number


@part
def _signed(text: NDArray[np.uint8], at: np.int64) -> np.int64:
    """A big-endian integer of four bytes."""
    return np.int64(np.int32(_integer(text, at, 4)))


@compiled(NUMBER, BYTES, HEADS)
def _find_batches(text: NDArray[np.uint8], heads: Any) -> int:
    """How many batches are whole; fills in as many heads as there are."""
    count, start = 0, np.int64(0)
    while len(text) - start >= _FRAME:
        end = start + _FRAME + max(np.int64(0), _signed(text, start + 8))
        if end > len(text):
            break
        if count < len(heads):
            head = heads[count]
            head.start, head.end = start, end
            head.magic = np.int64(text[start + _MAGIC_AT]) if end - start > _MAGIC_AT else np.int64(0)
            head.crc = 0
            if head.magic >= MAGIC and end - start >= HEAD_BYTES:
                head.base_offset = _integer(text, start, 8)
                head.crc = _integer(text, start + 17, 4)
                head.attributes = _integer(text, start + 21, 2)
                head.next_offset = head.base_offset + _signed(text, start + 23) + 1
                head.first_timestamp = _integer(text, start + 27, 8)
                head.max_timestamp = _integer(text, start + 35, 8)
                head.producer_id = _integer(text, start + 43, 8)
                head.count = _signed(text, start + 57)
        count += 1
        start = end
    return count


def _gzip(data: Any) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        return file.read(MAX_UNPACKED + 1)


def _lz4(data: Any) -> bytes:
    found: bytes = lz4.frame.LZ4FrameDecompressor().decompress(data, MAX_UNPACKED + 1)
    return found


def _zstd(data: Any) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as reader:
        return reader.read(MAX_UNPACKED + 1)


_DECODERS: Final[Mapping[int, Callable[[memoryview], bytes]]] = {
    1: _gzip,
    2: lambda data: bytes(snappy_decode(bytes(data))),  # unpacks to 21 times its size at most
    3: _lz4,
    4: _zstd,
}


def decompress(codec: int, data: memoryview) -> bytes:
    """What was compressed with Kafka's codec of this number. Raises BatchUnreadable."""
    if codec not in _DECODERS:
        raise BatchUnreadable(f"it is compressed with an unknown codec, number {codec}")
    try:
        unpacked = _DECODERS[codec](data)
    except _FAILURES as error:
        raise BatchUnreadable(f"cannot be decompressed: {error!r}") from error
    if len(unpacked) > MAX_UNPACKED:
        raise BatchUnreadable(f"decompressed it is larger than {MAX_UNPACKED} bytes")
    return unpacked
