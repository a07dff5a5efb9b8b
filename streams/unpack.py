"""Fetched batches to one chunk. Reads aiokafka's fetched bytes in bulk, past its ConsumerRecord.

Touches aiokafka internals (aiokafka 0.14): `PartitionRecords._records`, `_consume_aborted_up_to`,
`_contains_abort_marker`, `_aborted_producers`, `_records_iterator`; `tests/unit/test_unpack.py` fails when they change.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import TopicPartition
from numpy.typing import NDArray

from streams.chunk import Chunk, Envelope
from streams.raw_batches import KeptRecords

LOG_APPEND_TIME = 1


def unpack(tp: TopicPartition, fetched: PartitionRecords) -> Chunk:
    """The committed records of one fetch as a chunk; moves the fetch position to the end of what was fetched.

    Offsets of control batches, aborted transactions and compacted records have no record in the chunk.
    Raises CorruptRecordException on a wrong CRC; nothing is consumed then and the fetch is repeated.
    """
    start = fetched.next_fetch_offset
    records: list[Any] = []
    offsets: list[NDArray[np.int64]] = []
    timestamps: list[NDArray[np.int64]] = []
    end = start
    for batch in _committed_batches(tp, fetched):
        end = batch.next_offset
        # Keeping the record objects costs 0.015 us each over reading values alone; late and dead ones need their
        # keys and headers. Columns by list comprehension: 0.19 us an event, ConsumerRecords 1.6 us.
        fresh, at = _read(batch, fetched._records)
        if batch.base_offset < start:
            wanted = int(at.searchsorted(start))
            fresh, at = fresh[wanted:], at[wanted:]
        records.extend(fresh)
        offsets.append(at)
        timestamps.append(_timestamps(batch, fresh))
    fetched.next_fetch_offset = max(end, fetched.next_fetch_offset)
    fetched._records_iterator = None  # with it a cycle: whole responses waited for the collector
    all_offsets = _joined(offsets)
    return Chunk(
        topic=tp.topic,
        partition=tp.partition,
        start=start,
        end=fetched.next_fetch_offset,
        offsets=all_offsets,
        timestamps=_joined(timestamps),
        values=[record.value for record in records],
        envelopes=partial(_envelopes, all_offsets, records),
    )


def _committed_batches(tp: TopicPartition, fetched: PartitionRecords) -> Iterator[Any]:
    """Data batches in order; control batches and those of aborted transactions only move the fetch position."""
    while fetched._records.has_next():
        batch = fetched._records.next_batch()
        if not batch.validate_crc():
            raise CorruptRecordException(f"wrong CRC in the batch at offset {batch.base_offset} of {tp}")
        if batch.producer_id is not None:
            fetched._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch:
            if batch.producer_id is not None and fetched._contains_abort_marker(batch):
                fetched._aborted_producers.discard(batch.producer_id)
        elif not (batch.is_transactional and batch.producer_id in fetched._aborted_producers):
            yield batch
            continue
        fetched.next_fetch_offset = max(fetched.next_fetch_offset, batch.next_offset)


def _read(batch: Any, kept: KeptRecords) -> tuple[list[Any], NDArray[np.int64]]:
    """The records of a batch and their offsets.

    A batch that was never compacted has a record at each offset, in order. Where that is so, what the records say of
    their offsets is not asked: the broker does not check it, and a producer may write anything there.
    """
    records = kept.records(batch)
    if len(records) == batch.next_offset - batch.base_offset:
        return records, np.arange(batch.base_offset, batch.next_offset, dtype=np.int64)
    return records, np.fromiter((record.offset for record in records), np.int64, len(records))


def _timestamps(batch: Any, records: Sequence[Any]) -> NDArray[np.int64]:
    if batch.timestamp_type == LOG_APPEND_TIME:  # one for the whole batch: 0.03 us an event less
        return np.full(len(records), batch.max_timestamp, dtype=np.int64)
    return np.array([record.timestamp for record in records], dtype=np.int64)


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _envelopes(offsets: NDArray[np.int64], records: Sequence[Any], wanted: Sequence[int]) -> dict[int, Envelope]:
    rows = np.searchsorted(offsets, np.asarray(wanted, np.int64))
    return {
        int(offset): (records[row].key, tuple(records[row].headers)) for offset, row in zip(wanted, rows, strict=True)
    }
