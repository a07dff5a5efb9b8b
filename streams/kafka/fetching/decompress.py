"""Decompression with a bound: 20 KB of zstd can unpack to a gigabyte, and one such batch would end every worker.

aiokafka's own decoders take any size.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import cramjam
import lz4.frame
import zstandard
from aiokafka.codec import snappy_decode

MAX_UNPACKED = 32 << 20  # bytes; a batch of Kafka's usual limit of 1 MiB rarely unpacks to 10 MiB
_FAILURES = (
    OSError, EOFError, RuntimeError, ValueError, struct.error, zlib.error, zstandard.ZstdError,
    cramjam.DecompressionError,
)  # fmt: skip


class BatchUnreadable(Exception):
    """A batch that is whole (its CRC is right) and cannot be read: fetching it again would not help."""


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
