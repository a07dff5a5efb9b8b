"""What the audit's consumer makes of batches, and that other consumers of the process read as ever."""

import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords
from kafka.record.util import calc_crc32c

import pintally.audit.batches
from pintally.audit.batches import PlainBatches
from pintally.audit.records import records_of
from tests.fuzz.raw import Raw, RawBatch

NOW = 1_700_000_000_000


def batch(deltas: list[int], base: int = 50, codec: int = 0) -> bytearray:
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, 0, 0, 1 << 20)
    for index, delta in enumerate(deltas):
        builder.append(delta, NOW + index, b"k", b"%d" % index, [("h", b"x"), ("h", None)])
    data = bytearray(builder.build())
    data[:8] = base.to_bytes(8, "big")
    data[23:27] = (len(deltas) - 1).to_bytes(4, "big")
    return with_crc(data)


def with_crc(data: bytearray) -> bytearray:
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    return data


def read(data: bytearray) -> list[tuple[int, int, bytes | None]]:
    batch = PlainBatches(MemoryRecords(bytes(data))).next_batch()
    assert batch.validate_crc()
    return [(record.offset, record.timestamp, record.value) for record in records_of(list(batch))]


def test_consumers_that_were_not_taught_still_read_headers() -> None:
    records = list(MemoryRecords(bytes(batch([0]))).next_batch())
    assert [record.headers for record in records] == [[("h", b"x"), ("h", None)]]


@pytest.mark.parametrize("codec", [0, 1, 3])
def test_records_have_their_offsets_timestamps_and_values(codec: int) -> None:
    assert read(batch([0, 1, 2], codec=codec)) == [(50 + i, NOW + i, b"%d" % i) for i in range(3)]


def test_a_header_name_that_is_not_utf_8_is_passed_over() -> None:
    data = batch([0, 1])
    data[data.index(b"\x02h\x02x") + 1] = 0xFE
    assert [value for _, _, value in read(with_crc(data))] == [b"0", b"1"]


@pytest.mark.parametrize("deltas", [[0, 0, 0], [2, 1, 0], [0, 1, 60]])
def test_offsets_ascend_whatever_the_records_say(deltas: list[int]) -> None:
    assert [offset for offset, _, _ in read(batch(deltas))] == [50, 51, 52]


def test_a_record_that_is_longer_than_it_says_is_read_by_nobody() -> None:
    data = batch([0, 1])
    data[61] = 6
    assert read(with_crc(data)) == [(50, NOW + 1, None)]


@pytest.mark.parametrize("codec", [1, 3, 4])
def test_a_batch_that_unpacks_to_far_too_much_is_one_record_without_value(
    codec: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pintally.audit.batches, "MAX_UNPACKED", 1 << 20)
    data = b"\0" * (1 << 20)
    bomb = RawBatch([Raw(b"a", timestamp=NOW), Raw(data, timestamp=NOW + 5)], codec)._build()
    assert len(bomb) < 1 << 14
    assert read(bytearray(bomb)) == [(0, NOW + 5, None)]


def test_a_batch_of_too_many_records_is_one_record_without_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pintally.audit.batches, "MAX_RECORDS", 3)
    assert len(read(batch([0, 1, 2]))) == 3
    assert read(batch([0, 1, 2, 3])) == [(50, NOW + 3, None)]
