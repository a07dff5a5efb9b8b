"""Decompression with a bound: 20 KB of zstd can unpack to a gigabyte, and one such batch would end every worker.

aiokafka's decoders take any size. Importing this module puts these in their place, in both of its parsers, in this
process. Touches aiokafka internals (aiokafka 0.14): the names of the decoders in its two modules of record batches.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
import lz4.frame
import zstandard
from aiokafka.codec import snappy_decode
from aiokafka.record import default_records

try:
    from aiokafka.record._crecords import default_records as compiled
except ImportError:  # aiokafka without its C extension
    compiled = default_records

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


def _bounded(decode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def decode_bounded(data: Any) -> bytes:
        try:
            unpacked = decode(data)
        except _FAILURES as error:
            raise BatchUnreadable(f"cannot be decompressed: {error!r}") from error
        if len(unpacked) > MAX_UNPACKED:
            raise BatchUnreadable(f"decompressed it is larger than {MAX_UNPACKED} bytes")
        return unpacked

    return decode_bounded


for module in (default_records, compiled):
    module.gzip_decode = _bounded(_gzip)
    module.lz4_decode = _bounded(_lz4)
    module.zstd_decode = _bounded(_zstd)
    module.snappy_decode = _bounded(snappy_decode)  # unpacks to 21 times its size at most
