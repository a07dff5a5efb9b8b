"""The records of a batch, as they were written, and as aiokafka's own parser reads them where the bytes are any."""

import struct

import numpy as np
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.dead_letters import UNREADABLE
from pintally.schemas.decoding.values import Values
from pintally.streams.kafka.fetching.record_batches import FetchedBatches
from pintally.streams.kafka.fetching.records import Records, read_records
from tests.fuzz.raw import Raw, RawBatch

BASE = 1_000
BODY = 61  # bytes of a batch's head

contents = st.none() | st.binary(max_size=200)
raws = st.lists(
    st.builds(
        Raw,
        value=contents,
        key=contents,
        headers=st.lists(st.tuples(st.binary(max_size=5), contents), max_size=3),
        timestamp=st.integers(-1, 2**50),
    ),
    min_size=1,
    max_size=8,
)


def built(raw: list[Raw], codec: int = 0, place: int = 0) -> bytes:
    data = bytearray(RawBatch(raw, codec)._build())
    data[:8] = struct.pack(">q", BASE + 100 * place)
    return bytes(data)


def read(data: bytes) -> Records:
    fetched = FetchedBatches(data)
    return read_records(fetched.text, fetched.heads())


Row = tuple[int, int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]


def rows(records: Records) -> list[Row]:
    """Offset, timestamp, value, key and headers of each."""
    offsets = records.offsets.tolist()
    envelopes = records.envelopes(offsets)
    columns = zip(offsets, records.timestamps.tolist(), records.values, strict=True)
    return [(*row, *envelopes[row[0]]) for row in columns]


@given(raws, st.integers(0, 4))
def test_records_are_read_as_they_were_written(raw: list[Raw], codec: int) -> None:
    found = rows(read(built(raw, codec)))
    assert found == [
        (
            BASE + place,
            each.timestamp,
            each.value,
            each.key,
            tuple((name.decode("utf-8", "surrogateescape"), content) for name, content in each.headers),
        )
        for place, each in enumerate(raw)
    ]


@given(st.lists(st.tuples(raws, st.integers(0, 4)), max_size=6))
def test_batches_joined_hold_the_records_of_each(batches: list[tuple[list[Raw], int]]) -> None:
    alone = [built(raw, codec, place) for place, (raw, codec) in enumerate(batches)]
    assert rows(read(b"".join(alone))) == [row for each in alone for row in rows(read(each))]


@given(raws, st.data())
def test_of_damaged_bytes_nothing_is_read_but_what_aiokafka_reads_too(raw: list[Raw], data: st.DataObject) -> None:
    batch = bytearray(built(raw))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(BODY - 4, len(batch) - 1))  # the number of records too
        batch[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([len(batch)] * 3 + list(range(BODY, len(batch)))))
    batch = batch[:end]
    batch[8:12] = struct.pack(">i", len(batch) - 12)
    batch[17:21] = struct.pack(">I", crc32c(batch[21:]))
    records = read(bytes(batch) + b"more")
    found = rows(records)
    if any(name == UNREADABLE for row in found for name, _ in row[4]):
        assert len(found) == 1
        return
    attributes = records.values.text[records.values.starts - records.heads]
    try:
        theirs = [(each.timestamp, each.value, each.key) for each in _DefaultRecordBatchPy(batch)]
    except CorruptRecordException as error:
        # It refuses a header's name that is not UTF-8, and takes the byte of attributes for a number of more bytes.
        if "UnicodeDecodeError" in str(error) or max(attributes) >= 0x80:
            return
        raise
    assert theirs == [row[1:4] for row in found]


@given(st.lists(contents, max_size=20), st.data())
def test_values_are_a_sequence_like_any_other(listed: list[bytes | None], data: st.DataObject) -> None:
    values = Values.of(listed)
    start, stop = (data.draw(st.integers(0, len(listed))) for _ in range(2))
    assert list(values) == listed
    assert list(values[start:stop]) == listed[start:stop]
    assert [values[at] for at in range(len(values))] == listed
    assert values.at(np.arange(start, max(start, stop))) == listed[start:stop]
    assert list(Values.joined([values[:start], values[start:], values])) == listed * 2
    assert list(Values.joined([values, Values.of(listed)])) == listed * 2
