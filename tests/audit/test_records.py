"""Batches that are read together give the same records as batches that are read record by record."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecords
from kafka.record.util import calc_crc32c

from pintally.audit import records as audited
from pintally.audit.batches import PlainBatches
from pintally.audit.records import LogRecord, Records, columns_of, records_of
from tests.fuzz.raw import Raw, RawBatch

NOW = 1_767_268_800_000
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
texts = st.one_of(st.none(), st.binary(max_size=3), st.binary(min_size=60, max_size=140), st.just(b"x" * 9_000))
stamps = st.one_of(st.just(NOW), st.integers(NOW - 10**6, NOW + 10**6), st.sampled_from([-1, 0, 2**40, 2**62]))
raws = st.builds(
    Raw, value=texts, key=texts, timestamp=stamps, headers=st.sampled_from([(), ((b"h", None),), ((b"\xff", b"v"),)])
)
batches = st.builds(RawBatch, st.lists(raws, min_size=1, max_size=6), st.sampled_from([0, 0, 0, 1, 3, 4]))


class Given:
    """What a consumer gives out: a record whose value is a batch, or bytes."""

    def __init__(self, value: Any) -> None:
        self.value = value


def built(made: Sequence[RawBatch]) -> list[bytearray]:
    """The bytes of batches that follow each other in a log."""
    log, offset = [], 50
    for batch in made:
        data = bytearray(batch._build())
        data[:8] = offset.to_bytes(8, "big")
        log.append(data)
        offset += batch.record_count()
    return log


def with_crc(data: bytearray) -> bytearray:
    data[17:21] = calc_crc32c(bytes(data[21:])).to_bytes(4, "big")
    return data


def read(log: Sequence[bytearray]) -> list[Any]:
    found, memory = [], PlainBatches(MemoryRecords(b"".join(map(bytes, log))))
    while (batch := memory.next_batch()) is not None:
        assert batch.validate_crc()
        found.append(batch)
    return found


def one_by_one(log: Sequence[bytearray]) -> list[LogRecord]:
    return [record for batch in read(log) for record in Records.of(batch.each())]


def together(log: Sequence[bytearray]) -> list[LogRecord]:
    return list(records_of([Given(batch) for batch in read(log)]))


@unhurried
@given(st.lists(batches, min_size=1, max_size=4))
def test_records_of_many_batches_are_those_of_each(made: list[RawBatch]) -> None:
    log = built(made)
    assert together(log) == one_by_one(log)


@unhurried
@given(st.lists(batches, min_size=1, max_size=3), st.data())
def test_bytes_that_were_changed_are_read_alike(made: list[RawBatch], data: st.DataObject) -> None:
    log = built(made)
    for _ in range(data.draw(st.integers(1, 3))):
        batch = data.draw(st.sampled_from(log))
        at = data.draw(st.integers(61, min(len(batch) - 1, 80)))
        batch[at] = data.draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0x81, 0xFF]) | st.integers(0, 255))
        with_crc(batch)
    assert together(log) == one_by_one(log)


@unhurried
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6, unique=True).map(sorted))
def test_offsets_of_a_compacted_batch_are_its_own(deltas: list[int]) -> None:
    (data,) = built([RawBatch([Raw(b"v", timestamp=NOW, delta=delta) for delta in deltas])])
    data[23:27] = (70).to_bytes(4, "big")  # the last offset of the batch, before it was compacted
    log = [with_crc(data)]
    assert [record.offset for record in together(log)] == [50 + delta for delta in deltas]
    assert together(log) == one_by_one(log)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_a_batch_of_more_or_fewer_records_than_it_says_is_read_by_nobody(count: int) -> None:
    (data,) = built([RawBatch([Raw(b"v", timestamp=NOW) for _ in range(3)])])
    data[57:61] = count.to_bytes(4, "big")
    log = [with_crc(data)]
    assert together(log) == one_by_one(log) == [LogRecord(50, NOW, None, None)]


def test_ordinary_batches_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above would compare a thing with itself."""
    monkeypatch.setattr(audited.Records, "of", None)
    log = built([RawBatch([Raw(b"%d" % n, b"k", timestamp=NOW + n) for n in range(300)], codec) for codec in (0, 3)])
    found = together(log)
    assert [record.value for record in found] == [b"%d" % n for n in range(300)] * 2
    assert [record.offset for record in found] == list(range(50, 650))


def test_what_unpacks_to_much_is_given_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audited, "MOST_BYTES", 30_000)
    large, corrupt = [Raw(b"x" * 9_000, timestamp=NOW)] * 2, RawBatch([Raw(b"", timestamp=NOW)])
    corrupt._body = b"\x01" + corrupt._body[1:]
    log = built([RawBatch(large, 3), RawBatch(large, 3), corrupt, RawBatch(large, 3)])
    found = [Given(batch) for batch in read(log)]
    parts = list(columns_of(found))
    assert [len(part) for part in parts] == [4, 3]
    assert [record for part in parts for record in part] == one_by_one(log)
    assert not any(found), "what was given out is not kept"


def test_parts_of_columns_are_chosen_by_offset() -> None:
    records = Records.of([LogRecord(offset, NOW, None, b"") for offset in (3, 5, 9)])
    assert records.between(0, 100) is records
    assert [record.offset for record in records.between(4, 9)] == [5]
