"""Record batches as bytes of our own making (format v2), so that they can hold what no client would write."""

import gzip
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiokafka.codec import lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.util import calc_crc32c

CODECS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: lambda data: gzip.compress(data, 1),
    2: snappy_encode,
    3: lz4_encode,
    4: zstd_encode,
}
TRANSACTIONAL = 0x10
_HEAD = struct.Struct(">qiibI")  # base offset, length, leader epoch, magic, CRC
_BODY = struct.Struct(">hiqqqhii")  # attributes, last delta, first and last timestamp, producer, epoch, sequence, count

Headers = Sequence[tuple[bytes, bytes | None]]


@dataclass(frozen=True, slots=True)
class Raw:
    """One record, nothing of it checked."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    timestamp: int = -1  # Unix ms
    delta: int | None = None  # what it says of its place in the batch; None: the truth


class RawBatch:
    """What `AIOKafkaProducer.send_batch` takes, in place of its own builder."""

    def __init__(self, records: Sequence[Raw], codec: int = 0) -> None:
        self.records = records
        self._attributes = codec
        self._body = CODECS[codec](b"".join(encoded(record, place, records[0]) for place, record in enumerate(records)))
        self._state: tuple[int, ...] = (-1, -1, -1)

    def record_count(self) -> int:
        return len(self.records)

    def size(self) -> int:
        return len(self._body) + _HEAD.size + _BODY.size

    def closed(self) -> bool:
        return True

    def append(self, **_: object) -> None:
        return None

    def _set_producer_state(self, *state: int) -> None:
        self._state = state
        self._attributes |= TRANSACTIONAL

    def _build(self) -> bytes:
        stamps = [record.timestamp for record in self.records]
        count = len(stamps)
        body = _BODY.pack(self._attributes, count - 1, stamps[0], max(stamps), *self._state, count) + self._body
        return _HEAD.pack(0, len(body) + 9, -1, 2, calc_crc32c(body)) + body


def encoded(record: Raw, place: int, first: Raw) -> bytes:
    """A record as it stands in a batch."""
    parts = [
        b"\0" + varint(record.timestamp - first.timestamp) + varint(place if record.delta is None else record.delta)
    ]
    parts += (nullable(record.key), nullable(record.value), varint(len(record.headers)))
    for name, value in record.headers:
        parts += (varint(len(name)), name, nullable(value))
    data = b"".join(parts)
    return varint(len(data)) + data


def nullable(data: bytes | None) -> bytes:
    return b"\x01" if data is None else varint(len(data)) + data


def varint(number: int) -> bytes:
    """Zigzag, seven bits a byte."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
