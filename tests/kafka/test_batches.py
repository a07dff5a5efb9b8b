"""Fetched bytes to chunks, on batches as brokers write them."""

import gc
import weakref

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.structs import TopicPartition

from pintally.streams.counting.log import Chunk
from pintally.streams.kafka.fetching import record_batches, records
from pintally.streams.kafka.fetching.consumer import unpack
from pintally.streams.kafka.fetching.record_batches import FetchedBatches
from tests.fuzz.raw import Raw, RawBatch

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


def renamed(data: bytearray, name: bytes) -> bytearray:
    """The same batch with another name for its last record's header."""
    assert data[-4:] == b"\x02h\x02x"
    data[-3:-2] = name
    return with_crc(data)


def with_crc(data: bytearray) -> bytearray:
    from aiokafka.record._crc32c import crc

    data[17:21] = crc(bytes(data[21:])).to_bytes(4, "big")
    return data


def unpacked(log: bytes | bytearray, start: int, aborted: list[tuple[int, int]] | None = None) -> Chunk:
    fetched = PartitionRecords(TP, FetchedBatches(bytes(log)), aborted, start, None, None, True, READ_COMMITTED)
    chunk = unpack(TP, fetched)
    assert fetched.next_fetch_offset == chunk.end
    return chunk


def test_batches_become_one_chunk_in_offset_order() -> None:
    chunk = unpacked(batch(10, [b"a", b"b"]) + batch(12, [None, b"d"]), 10)
    assert (chunk.start, chunk.end, list(chunk.values)) == (10, 14, [b"a", b"b", None, b"d"])
    assert chunk.offsets.tolist() == [10, 11, 12, 13]
    assert chunk.timestamps.tolist() == [1_700_000_000_010 + i for i in range(4)]


def test_what_was_fetched_is_freed_once_it_is_unpacked_and_needs_no_garbage_collector() -> None:
    log = bytes(batch(10, [b"a", b"b"]))
    fetched = PartitionRecords(TP, FetchedBatches(log), None, 10, None, None, True, READ_COMMITTED)
    left = weakref.ref(fetched)
    gc.disable()
    try:
        chunk = unpack(TP, fetched)
        del fetched
        assert left() is None
    finally:
        gc.enable()
    assert chunk.envelopes([11]) == {11: (b"k11", (("h", b"x"),))}


def test_records_below_the_fetch_position_are_cut() -> None:
    chunk = unpacked(batch(10, [b"a", b"b", b"c"]), 12)
    assert (chunk.start, chunk.end, list(chunk.values), chunk.offsets.tolist()) == (12, 13, [b"c"], [12])


def test_keys_and_headers_are_found_again_by_offset() -> None:
    chunk = unpacked(batch(10, [b"a", b"b"]) + batch(20, [b"c"]), 10)
    assert chunk.envelopes([11, 20]) == {11: (b"k11", (("h", b"x"),)), 20: (b"k20", (("h", b"x"),))}


def test_aborted_records_and_markers_are_absent_and_the_position_passes_them() -> None:
    log = batch(5, [b"gone"], transactional=True, producer=7) + batch(6, [b"kept"]) + control_batch(7, producer=7)
    chunk = unpacked(log, 5, aborted=[(7, 5)])
    assert (chunk.start, chunk.end, list(chunk.values), chunk.offsets.tolist()) == (5, 8, [b"kept"], [6])


def test_a_transaction_after_the_abort_marker_counts_again() -> None:
    log = (
        batch(0, [b"gone"], transactional=True, producer=7)
        + control_batch(1, producer=7)
        + batch(2, [b"kept"], transactional=True, producer=7)
    )
    assert list(unpacked(log, 0, aborted=[(7, 0)]).values) == [b"kept"]


def test_a_chunk_of_markers_only_has_no_records_but_an_end() -> None:
    chunk = unpacked(control_batch(4, producer=7), 4)
    assert (len(chunk), chunk.start, chunk.end) == (0, 4, 5)


def test_a_flipped_bit_is_refused() -> None:
    log = batch(0, [b"abcdef"])
    log[-3] ^= 1
    with pytest.raises(CorruptRecordException, match="CRC"):
        unpacked(log, 0)


def test_a_header_name_that_is_not_utf_8_is_kept_byte_by_byte() -> None:
    chunk = unpacked(batch(7, [b"a"]) + renamed(batch(8, [b"b", b"c"]), b"\xfe") + batch(10, [b"d"]), 7)
    assert (chunk.start, chunk.end, list(chunk.values)) == (7, 11, [b"a", b"b", b"c", b"d"])
    assert chunk.timestamps.tolist() == [1_700_000_000_007 + i for i in range(4)]
    assert chunk.envelopes([8, 9]) == {
        8: (b"k8", (("h", b"x"),)),
        9: (b"k9", (("\udcfe", b"x"),)),
    }
    assert chunk.envelopes([9])[9][1][0][0].encode("utf-8", "surrogateescape") == b"\xfe"


def test_only_records_from_the_fetch_position_on_are_read_of_such_a_batch() -> None:
    chunk = unpacked(renamed(batch(8, [b"b", b"c"]), b"\xfe"), 9)
    assert (list(chunk.values), chunk.offsets.tolist()) == ([b"c"], [9])


@pytest.mark.parametrize("deltas", [(0, 0, 0), (2, 1, 0), (0, 1, 60), (0, 2, 2)])
def test_records_of_a_whole_batch_have_its_offsets_in_order_whatever_they_say(deltas: tuple[int, ...]) -> None:
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, 0, 0, 1 << 20)
    for index, delta in enumerate(deltas):
        builder.append(delta, 1_700_000_000_000, None, b"%d" % index, [])
    data = bytearray(builder.build())
    data[BASE_OFFSET] = (50).to_bytes(8, "big")
    data[23:27] = (2).to_bytes(4, "big")  # lastOffsetDelta: the broker sees to it that it fits the count
    chunk = unpacked(with_crc(data), 51)
    assert (chunk.start, chunk.end, chunk.offsets.tolist(), list(chunk.values)) == (51, 53, [51, 52], [b"1", b"2"])


def test_one_dead_record_stands_for_a_batch_that_nobody_can_read() -> None:
    log = batch(40, [b"abcdef", b"b"])
    log[61] = 3  # the record's length
    chunk = unpacked(batch(39, [b"a"]) + with_crc(log) + batch(42, [b"d"]), 39)
    assert (list(chunk.values), chunk.offsets.tolist(), chunk.end) == ([b"a", None, b"d"], [39, 40, 42], 43)
    assert chunk.timestamps.tolist()[1] == 1_700_000_000_041
    key, ((name, reason),) = chunk.envelopes([40])[40]
    assert (key, name) == (None, "pintally.unreadable")
    assert reason is not None
    assert reason.startswith(b"offsets 40 to 41: ")


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_every_codec_is_read_and_a_batch_that_unpacks_to_far_too_much_is_one_dead_record(
    codec: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_batches, "MAX_UNPACKED", 1 << 20)
    raw = [Raw(b"%d" % number, timestamp=number) for number in range(3)]
    assert list(unpacked(RawBatch(raw, codec)._build(), 0).values) == [b"0", b"1", b"2"]
    bomb = RawBatch([*raw, Raw(b"\0" * (1 << 20), timestamp=9)], codec)._build()
    chunk = unpacked(bomb, 0)
    assert (list(chunk.values), chunk.timestamps.tolist(), chunk.end) == ([None], [9], 4)


def test_a_batch_of_too_many_records_is_one_dead_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_RECORDS", 2)
    assert list(unpacked(batch(0, [b"a", b"b"]), 0).values) == [b"a", b"b"]
    assert list(unpacked(batch(0, [b"a", b"b", b"c"]), 0).values) == [None]


@pytest.mark.parametrize("magic", [0, 1])
def test_message_sets_of_old_are_read_too(magic: int) -> None:
    builder = LegacyRecordBatchBuilder(magic, 0, 1 << 20)
    for index, value in enumerate([b"a", None]):
        builder.append(index, 1_700_000_000_000 + index, b"k%d" % index, value)
    old = bytes(builder.build())
    chunk = unpacked(old + batch(2, [b"c"]), 0)
    assert (list(chunk.values), chunk.offsets.tolist(), chunk.end) == ([b"a", None, b"c"], [0, 1, 2], 3)
    assert chunk.envelopes([1, 2]) == {1: (b"k1", ()), 2: (b"k2", (("h", b"x"),))}
    stamps = [-1, -1] if magic == 0 else [1_700_000_000_000, 1_700_000_000_001]
    assert chunk.timestamps.tolist() == [*stamps, 1_700_000_000_002]
    with pytest.raises(CorruptRecordException, match="CRC"):
        unpacked(old.replace(b"k1", b"k?"), 0)


def test_a_batch_that_is_cut_off_is_left_for_the_next_fetch() -> None:
    log = batch(0, [b"a"]) + batch(1, [b"b"])
    for cut in range(1, len(batch(1, [b"b"]))):
        chunk = unpacked(log[:-cut], 0)
        assert (list(chunk.values), chunk.end) == ([b"a"], 1)


def test_a_fetch_with_no_whole_batch_is_told_from_an_empty_one() -> None:
    log = bytes(batch(10, [b"a"]))
    whole, cut, empty = FetchedBatches(log), FetchedBatches(log[:-1]), FetchedBatches(b"")
    assert [each.has_next() for each in (whole, cut, empty)] == [True, False, False]
    assert (cut.size_in_bytes() > 0, empty.size_in_bytes()) == (True, 0)


def test_records_of_a_batch_with_append_time_have_that_time() -> None:
    log = batch(0, [b"a", b"b"])
    log[22] |= 0x08
    log[35:43] = (1_800_000_000_000).to_bytes(8, "big")
    assert unpacked(with_crc(log), 0).timestamps.tolist() == [1_800_000_000_000] * 2


def test_records_that_are_not_as_long_as_they_say_are_not_read() -> None:
    two = batch(0, [b"a", b"b"])
    size = two[61] // 2  # zigzag
    two[61] = 2 * (2 * size + 1)  # the first one would hold the second, its length included
    assert list(unpacked(with_crc(two), 0).values) == [None]
    one = batch(0, [b"a"]) + b"more"
    one[8:12] = (len(one) - 12).to_bytes(4, "big")
    assert list(unpacked(with_crc(one), 0).values) == [None]
