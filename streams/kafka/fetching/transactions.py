"""Fetched batches to one chunk: the committed records, and where the next chunk must begin.

Touches aiokafka internals (aiokafka 0.14): `PartitionRecords._records`, `_consume_aborted_up_to`,
`_aborted_producers`, `_records_iterator`; `tests/unit/test_unpack.py` fails when they change.
"""

import numpy as np
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import TopicPartition
from numpy.typing import NDArray

from pintally.streams.counting.log import Chunk
from pintally.streams.kafka.fetching.read_records import read_records
from pintally.streams.kafka.fetching.record_batches import CONTROL, MAGIC, TRANSACTIONAL, Heads

ABORT = b"\0\0"  # in a marker's key, behind two bytes of its version


def unpack(tp: TopicPartition, fetched: PartitionRecords) -> Chunk:
    """The committed records of one fetch as a chunk; moves the fetch position to the end of what was fetched.

    Offsets of control batches, aborted transactions and compacted records have no record in the chunk.
    Raises CorruptRecordException on a wrong CRC; nothing is consumed then and the fetch is repeated.
    """
    start, batches = fetched.next_fetch_offset, fetched._records
    try:
        heads = batches.heads()
        records = read_records(batches.text, heads[_are_committed(batches.text, heads, fetched)]).since(start)
    except CorruptRecordException as error:
        raise CorruptRecordException(f"{tp}: {error}") from error
    end = max(start, _end(heads, records.offsets))
    fetched.next_fetch_offset = end
    fetched._records_iterator = None  # with it a cycle: whole responses waited for the collector
    return Chunk(
        tp.topic, tp.partition, start, end, records.offsets, records.timestamps, records.values, records.envelopes
    )


def _end(heads: Heads, offsets: NDArray[np.int64]) -> int:
    """The offset behind all of these batches; one of an old format is as long as its records say."""
    if not len(heads):
        return 0
    last = heads[-1]
    return int(last["next_offset"]) if last["magic"] == MAGIC else int(offsets[-1]) + 1 if len(offsets) else 0


def _are_committed(text: NDArray[np.uint8], heads: Heads, fetched: PartitionRecords) -> NDArray[np.bool_]:
    """Which batches hold records that count: no markers, and none of an aborted transaction."""
    committed = np.ones(len(heads), np.bool_)
    special = (heads["magic"] == MAGIC) & (heads["attributes"] & (CONTROL | TRANSACTIONAL) != 0)
    for at in np.flatnonzero(special).tolist():
        head, producer = heads[at], int(heads[at]["producer_id"])
        fetched._consume_aborted_up_to(int(head["base_offset"]))
        if head["attributes"] & CONTROL:
            committed[at] = False
            if _is_abort(text, heads[at : at + 1]):
                fetched._aborted_producers.discard(producer)
        else:
            committed[at] = producer not in fetched._aborted_producers
    return committed


def _is_abort(text: NDArray[np.uint8], marker: Heads) -> bool:
    records = read_records(text, marker)
    return any((key or b"")[2:4] == ABORT for key, _ in records.envelopes(records.offsets.tolist()).values())
