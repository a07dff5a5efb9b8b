"""Fetched batches to one chunk: the committed records, and where the next chunk must begin.

Touches aiokafka internals (aiokafka 0.14): `PartitionRecords._records`, `_consume_aborted_up_to`,
`_aborted_producers`, `_records_iterator`; `tests/unit/test_unpack.py` fails when they change.
"""

from collections.abc import Iterator

from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.structs import TopicPartition

from streams.chunk import Chunk
from streams.record_batches import NO_PRODUCER, RecordBatch
from streams.records import Records, read_records

ABORT = b"\0\0"  # in a marker's key, behind two bytes of its version


def unpack(tp: TopicPartition, fetched: PartitionRecords) -> Chunk:
    """The committed records of one fetch as a chunk; moves the fetch position to the end of what was fetched.

    Offsets of control batches, aborted transactions and compacted records have no record in the chunk.
    Raises CorruptRecordException on a wrong CRC; nothing is consumed then and the fetch is repeated.
    """
    start = fetched.next_fetch_offset
    parts: list[Records] = []
    end = start
    try:
        for batch in _committed_batches(fetched):
            end = batch.next_offset
            records = read_records(batch)
            parts.append(records.since(start))
    except CorruptRecordException as error:
        raise CorruptRecordException(f"{tp}: {error}") from error
    fetched.next_fetch_offset = max(end, fetched.next_fetch_offset)
    fetched._records_iterator = None  # with it a cycle: whole responses waited for the collector
    records = Records.joined(parts)
    return Chunk(
        topic=tp.topic,
        partition=tp.partition,
        start=start,
        end=fetched.next_fetch_offset,
        offsets=records.offsets,
        timestamps=records.timestamps,
        values=records.values,
        envelopes=records.envelopes,
    )


def _committed_batches(fetched: PartitionRecords) -> Iterator[RecordBatch | LegacyRecordBatch]:
    """Data batches in order; control batches and those of aborted transactions only move the fetch position."""
    while fetched._records.has_next():
        batch = fetched._records.next_batch()
        if not isinstance(batch, LegacyRecordBatch):
            if batch.producer_id != NO_PRODUCER:
                fetched._consume_aborted_up_to(batch.base_offset)
            if batch.is_control:
                if _is_abort(batch):
                    fetched._aborted_producers.discard(batch.producer_id)
                fetched.next_fetch_offset = max(fetched.next_fetch_offset, batch.next_offset)
                continue
            if batch.is_transactional and batch.producer_id in fetched._aborted_producers:
                fetched.next_fetch_offset = max(fetched.next_fetch_offset, batch.next_offset)
                continue
        yield batch


def _is_abort(marker: RecordBatch) -> bool:
    records = read_records(marker)
    offsets = records.offsets[:1].tolist()
    return any((key or b"")[2:4] == ABORT for key, _ in records.envelopes(offsets).values())
