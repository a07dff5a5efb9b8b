"""Takes what aiokafka has fetched as chunks: one a partition and poll.

Touches aiokafka internals (aiokafka 0.14): `Fetcher._records`, `FetchResult.check_assignment`, `_update_position`,
`_partition_records`, `Fetcher._notify`, `_wait_consume_future`, `_create_fetch_waiter`.
"""

import asyncio
import logging
from collections.abc import Set as AbstractSet

from aiokafka.consumer.fetcher import Fetcher, FetchError
from aiokafka.errors import CorruptRecordException, NoOffsetForPartitionError
from aiokafka.structs import TopicPartition

import pintally.streams.kafka.fetching.connection  # noqa: F401 - the way from the socket
from pintally.schemas.errors import PintallyError
from pintally.streams.counting.log import Chunk
from pintally.streams.kafka.fetching.transactions import unpack

log = logging.getLogger(__name__)

FETCHES = 5  # of the same place, before it is the log that is corrupt
_corrupt: dict[TopicPartition, tuple[int, int]] = {}  # where, and how often in a row


class LogCorrupt(PintallyError):
    """A batch whose CRC is wrong, fetch after fetch."""


async def fetched_chunks(
    fetcher: Fetcher, partitions: AbstractSet[TopicPartition], timeout: float
) -> dict[TopicPartition, list[Chunk]]:
    """One chunk of each of `partitions` that has fetched records; waits up to `timeout` seconds for the first.

    Raises what the broker answered to the fetch, e.g. OffsetOutOfRangeError: nothing is reset in silence.
    """
    chunks = _take(fetcher, partitions)
    if chunks or fetcher._closed:
        return chunks
    waiter = fetcher._create_fetch_waiter()
    await asyncio.wait([waiter], timeout=timeout)
    if waiter.done() and not waiter.cancelled():
        waiter.result()  # raises what the coordinator could not do
    waiter.cancel()
    return _take(fetcher, partitions)


def _take(fetcher: Fetcher, partitions: AbstractSet[TopicPartition]) -> dict[TopicPartition, list[Chunk]]:
    if fetcher._subscriptions.reassignment_in_progress:
        return {}
    chunks: dict[TopicPartition, list[Chunk]] = {}
    for tp in [tp for tp in fetcher._records if tp in partitions]:
        fetched = fetcher._records.pop(tp)
        fetcher._notify(fetcher._wait_consume_future)  # the next fetch of this partition may start
        if isinstance(fetched, FetchError):
            _raise(fetched)
        elif fetched.check_assignment(tp):
            try:
                chunk = unpack(tp, fetched._partition_records)
            except CorruptRecordException as error:  # the position stays: fetched again
                _again(tp, fetched._partition_records.next_fetch_offset, error)
                continue
            fetched._update_position()
            _corrupt.pop(tp, None)
            chunks[tp] = [chunk]
    return chunks


def _again(tp: TopicPartition, offset: int, error: CorruptRecordException) -> None:
    """What came over the network in pieces is mended by another fetch, what lies so on a disk is not."""
    before, times = _corrupt.get(tp, (offset, 0))
    _corrupt[tp] = offset, times + 1 if before == offset else 1
    if _corrupt[tp][1] >= FETCHES:
        raise LogCorrupt(
            f"{tp.topic}[{tp.partition}] cannot be read from offset {offset} on, at none of {FETCHES} fetches: {error}",
            "See with kafka-dump-log.sh which broker has it whole, and make that one the leader; or delete the "
            "records up to it with kafka-delete-records.sh, stop all workers and run `pintally accept-loss`.",
        )
    log.error("%s; it is fetched again", error)


def _raise(error: FetchError) -> None:
    try:
        error.check_raise()
    except NoOffsetForPartitionError:
        log.debug("a fetch before the first seek; the seek follows")
