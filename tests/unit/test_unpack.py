"""Fetched bytes to chunks, on batches as brokers write them."""

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from streams.chunk import Chunk
from streams.unpack import unpack

TP = TopicPartition("engagement.save.v1", 3)
ABORT_KEY = b"\x00\x00\x00\x00"  # version 0, type 0: abort marker
CONTROL_BIT, BASE_OFFSET = 0x20, slice(0, 8)


def batch(base: int, values: list[bytes | None], *, transactional: bool = False, producer: int = -1) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, 0, transactional, producer, 0, 0, 1 << 20)
    for index, value in enumerate(values):
        builder.append(index, 1_700_000_000_000 + base + index, b"k%d" % (base + index), value, [("h", b"x")])
    data = bytearray(builder.build())
    data[BASE_OFFSET] = base.to_bytes(8, "big")
    return data


def control_batch(base: int, producer: int) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, 0, True, producer, 0, 0, 1 << 20)
    builder.append(0, 1_700_000_000_000, ABORT_KEY, b"\x00\x00\x00\x00\x00\x00", [])
    data = bytearray(builder.build())
    data[BASE_OFFSET] = base.to_bytes(8, "big")
    data[22] |= CONTROL_BIT
    return with_crc(data)


def with_crc(data: bytearray) -> bytearray:
    from aiokafka.record._crc32c import crc

    data[17:21] = crc(bytes(data[21:])).to_bytes(4, "big")
    return data


def unpacked(log: bytes, start: int, aborted: list[tuple[int, int]] | None = None) -> Chunk:
    fetched = PartitionRecords(TP, MemoryRecords(bytes(log)), aborted, start, None, None, True, READ_COMMITTED)
    chunk = unpack(TP, fetched)
    assert fetched.next_fetch_offset == chunk.end
    return chunk


def test_batches_become_one_chunk_in_offset_order() -> None:
    chunk = unpacked(batch(10, [b"a", b"b"]) + batch(12, [None, b"d"]), 10)
    assert (chunk.start, chunk.end, chunk.values) == (10, 14, [b"a", b"b", None, b"d"])
    assert chunk.offsets.tolist() == [10, 11, 12, 13]
    assert chunk.timestamps.tolist() == [1_700_000_000_010 + i for i in range(4)]


def test_records_below_the_fetch_position_are_cut() -> None:
    chunk = unpacked(batch(10, [b"a", b"b", b"c"]), 12)
    assert (chunk.start, chunk.end, chunk.values, chunk.offsets.tolist()) == (12, 13, [b"c"], [12])


def test_keys_and_headers_are_found_again_by_offset() -> None:
    chunk = unpacked(batch(10, [b"a", b"b"]) + batch(20, [b"c"]), 10)
    assert chunk.envelopes([11, 20]) == {11: (b"k11", (("h", b"x"),)), 20: (b"k20", (("h", b"x"),))}


def test_aborted_records_and_markers_are_absent_and_the_position_passes_them() -> None:
    log = batch(5, [b"gone"], transactional=True, producer=7) + batch(6, [b"kept"]) + control_batch(7, producer=7)
    chunk = unpacked(log, 5, aborted=[(7, 5)])
    assert (chunk.start, chunk.end, chunk.values, chunk.offsets.tolist()) == (5, 8, [b"kept"], [6])


def test_a_transaction_after_the_abort_marker_counts_again() -> None:
    log = (
        batch(0, [b"gone"], transactional=True, producer=7)
        + control_batch(1, producer=7)
        + batch(2, [b"kept"], transactional=True, producer=7)
    )
    assert unpacked(log, 0, aborted=[(7, 0)]).values == [b"kept"]


def test_a_chunk_of_markers_only_has_no_records_but_an_end() -> None:
    chunk = unpacked(control_batch(4, producer=7), 4)
    assert (len(chunk), chunk.start, chunk.end) == (0, 4, 5)


def test_a_flipped_bit_is_refused() -> None:
    log = batch(0, [b"abcdef"])
    log[-3] ^= 1
    with pytest.raises(CorruptRecordException, match="CRC"):
        unpacked(log, 0)
