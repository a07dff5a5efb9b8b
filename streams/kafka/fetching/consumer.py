"""A consumer that gives what was fetched as chunks: the one door to the inside of aiokafka (0.14).

aiokafka gives a record at a time, by methods whose cost is a multiple of ours, and names the classes that it makes
where it makes them. So `ChunkedConsumer` runs some of its functions with classes of ours for those names
(`with_classes`). Nothing in aiokafka is changed: its other consumers and producers in this process are as they were.

`tests/worker/test_internals.py` names what else is used of its inside, and fails when that changes.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from functools import partial
from time import monotonic
from types import FunctionType
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import create_conn
from aiokafka.consumer.fetcher import Fetcher, FetchError, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import CorruptRecordException, NoOffsetForPartitionError
from aiokafka.structs import TopicPartition
from numpy.typing import NDArray

from pintally.schemas.errors import PintallyError
from pintally.streams.counting.log import Chunk
from pintally.streams.kafka.fetching.connection import FETCH, Connection
from pintally.streams.kafka.fetching.coordinator import GroupListener, ObservedCoordinator
from pintally.streams.kafka.fetching.record_batches import CONTROL, MAGIC, TRANSACTIONAL, FetchedBatches, Heads
from pintally.streams.kafka.fetching.records import read_records
from pintally.streams.kafka.fetching.refused import ELECTED, NO_LEADER, RefusedFetches, in_words

log = logging.getLogger(__name__)

FETCHES = 5  # of the same place, before it is the log that is corrupt
# Bytes of all partitions that are fetched ahead of the counting; what is on its way comes on top. Each partition has up
# to a fetch (2 MiB) of its own else: a worker with 1,000 of them that catches up would hold 2 GiB.
AHEAD_BYTES = 64 * 1024 * 1024
METADATA_SECONDS = 0.2  # between two questions
LACKS_LEADER = 3  # which of the actions of aiokafka's fetcher says that some partition has none
ABORT = b"\0\0"  # in a marker's key, behind two bytes of its version


class LogCorrupt(PintallyError):
    """A batch whose CRC is wrong, fetch after fetch."""


def with_classes(function: Callable[..., Any], **classes: Any) -> Any:
    """The same code, with other classes where it makes objects by these names of its module."""
    code: FunctionType = function  # type: ignore[assignment] # of Python, not of C
    copy = FunctionType(code.__code__, {**code.__globals__, **classes}, code.__name__, code.__defaults__)
    copy.__kwdefaults__ = code.__kwdefaults__
    return copy


class PatientClient(AIOKafkaClient):
    """aiokafka's client, which asks for metadata now and then only.

    aiokafka's own asks again at once while a partition that is read or written has no leader: 800 to 1,600 times a
    second, while its brokers are in trouble.
    """

    _asked_at = 0.0  # monotonic seconds

    async def _metadata_update(self, cluster: Any, topics: Any) -> bool:
        await asyncio.sleep(max(0.0, self._asked_at + METADATA_SECONDS - monotonic()))
        self._asked_at = monotonic()
        return bool(await super()._metadata_update(cluster, topics))


class PatientProducer(AIOKafkaProducer):
    """aiokafka's producer with such a client."""

    __init__ = with_classes(AIOKafkaProducer.__init__, AIOKafkaClient=PatientClient)


class ChunkedClient(PatientClient):
    """With connections of ours to its brokers."""

    _get_conn = with_classes(
        AIOKafkaClient._get_conn, create_conn=with_classes(create_conn, AIOKafkaConnection=Connection)
    )

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.fetched: dict[int, Any] = {}  # node -> what it answered to the last fetch, until somebody takes it

    async def send(self, node_id: int, request: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT) -> Any:
        """Send a request; returns the answer."""
        answer = await super().send(node_id, request, group=group)
        if request.API_KEY == FETCH:
            self.fetched[node_id] = answer
        return answer


class ChunkedFetcher(Fetcher):
    """aiokafka's fetcher, which leaves the bytes of a fetch as they are; partitions that cannot be fetched rest.

    It fetches no further while AHEAD_BYTES wait for who takes them, and asks itself again five times a second.
    """

    _client: ChunkedClient
    _take_answer = with_classes(Fetcher._proc_fetch_request, MemoryRecords=FetchedBatches)
    _of: Any = None  # the assignment that `_refused` is about
    left: AbstractSet[TopicPartition] = frozenset()  # not asked for at the last look: who is paused blocks no other

    async def _proc_fetch_request(self, assignment: Any, node_id: int, request: Any) -> bool:
        found = bool(await self._take_answer(assignment, node_id, request))
        if (answer := self._client.fetched.pop(node_id, None)) and assignment.active:
            for topic, partitions in answer.topics:
                for partition, error_code, *_ in partitions:
                    self._look(assignment, TopicPartition(topic, partition), error_code)
        return found

    def _get_actions_per_node(self, assignment: Any) -> Any:
        actions = super()._get_actions_per_node(assignment)
        if actions[LACKS_LEADER]:
            for tp in assignment.tps:
                if self._select_read_replica(tp) in (None, -1):
                    self._refused_of(assignment).refused(tp, fetched_to(assignment, tp), NO_LEADER, ELECTED)
        return ([], *actions[1:]) if self.ahead_bytes >= AHEAD_BYTES else actions

    @property
    def ahead_bytes(self) -> int:
        """Of all partitions that are taken."""
        waiting = [each for tp, each in self._records.items() if tp not in self.left]
        return sum(len(each._partition_records._records.text) for each in waiting if not isinstance(each, FetchError))

    def _look(self, assignment: Any, tp: TopicPartition, error_code: int) -> None:
        """An error that aiokafka knows how to pass on is not ours to tell, and ends the worker."""
        refused = self._refused_of(assignment)
        if not error_code:
            refused.answered(tp)
        elif tp not in self._records:
            state = assignment.state_value(tp)
            state.pause()
            rest = refused.refused(tp, fetched_to(assignment, tp), *in_words(error_code))
            asyncio.get_running_loop().call_later(rest, state.resume)
            self._client.force_metadata_update()  # the broker may not lead it any more

    def _refused_of(self, assignment: Any) -> RefusedFetches:
        if assignment is not self._of:
            self._of, self._refused = assignment, RefusedFetches()
        return self._refused


def fetched_to(assignment: Any, tp: TopicPartition) -> int:
    """The next offset to fetch; 0 while there is none."""
    state = assignment.state_value(tp)
    return int(state.position) if state.has_valid_position else 0


class ChunkedConsumer(AIOKafkaConsumer):
    """aiokafka's consumer, made and started as that one, but read by `chunks`.

    `listener` hears of its place in its group, if it is in one.
    """

    _make = with_classes(AIOKafkaConsumer.__init__, AIOKafkaClient=ChunkedClient)

    def __init__(self, listener: GroupListener | None = None, **arguments: Any) -> None:
        self._make(**arguments)
        self._group_listener = listener
        self._corrupt: dict[TopicPartition, tuple[int, int]] = {}  # where, and how often in a row

    async def start(self) -> None:
        """Connect, and join the group."""
        coordinator = partial(ObservedCoordinator, self._group_listener) if self._group_listener else GroupCoordinator
        start = with_classes(AIOKafkaConsumer.start, Fetcher=ChunkedFetcher, GroupCoordinator=coordinator)
        await start(self)

    async def chunks(self, partitions: AbstractSet[TopicPartition], timeout: float) -> dict[TopicPartition, Chunk]:
        """One chunk of each of `partitions` that has fetched records; waits up to `timeout` seconds for the first.

        Raises what the broker answered to the fetch, e.g. OffsetOutOfRangeError: nothing is reset in silence; and
        LogCorrupt.
        """
        if self._closed or self._fetcher._closed:
            return {}
        with self._subscription.fetch_context():
            chunks = self._take(partitions)
            if chunks or self._fetcher._closed:
                return chunks
            waiter = self._fetcher._create_fetch_waiter()
            await asyncio.wait([waiter], timeout=timeout)
            if waiter.done() and not waiter.cancelled():
                waiter.result()  # raises what the coordinator could not do
            waiter.cancel()
            return self._take(partitions)

    @property
    def member_id(self) -> str:
        """Its name in the group; empty before it has joined, and while it joins again."""
        return str(self._coordinator.member_id) if self._coordinator else ""

    def stay(self) -> None:
        """Stay in the group for another `max_poll_interval_ms`, though nothing is read.

        aiokafka leaves the group of who does not read for so long: it cannot know what is waited for.
        """
        self._subscription._last_fetch_ended = monotonic()

    def fetch_position(self, tp: TopicPartition) -> int | None:
        """The next offset to fetch, or None while there is none."""
        state = self._state(tp)
        return state.position if state and state.has_valid_position else None

    def readable_end(self, tp: TopicPartition) -> int | None:
        """The end of what may be read of a log (the last stable offset), or None while it is not known.

        aiokafka's own method fails for a partition that a rebalance has just taken away.
        """
        state = self._state(tp)
        return state.lso if state else None

    def ends(self, tp: TopicPartition) -> tuple[int, int] | None:
        """Last stable offset and end of a log, as last heard of, or None while they are not known."""
        state = self._state(tp)
        return (state.lso, state.highwater) if state and state.lso is not None and state.highwater else None

    def unknown_topics(self) -> set[str]:
        """Topics that are read, and that Kafka did not name when it was last asked for all of them."""
        subscription = self._subscription.subscription
        return set(subscription.topics) - self._client.cluster.topics() if subscription else set()

    def background_tasks(self) -> Iterable["asyncio.Task[Any] | None"]:
        """What must run as long as the consumer, which would read nothing without them, and not say so."""
        return self._fetcher._fetch_task, self._coordinator._coordination_task, self._client._sync_task

    def _state(self, tp: TopicPartition) -> Any:
        """What is known of a partition; None if it is not assigned at this moment."""
        subscription = self._subscription.subscription
        assignment = subscription.assignment if subscription else None
        return assignment.state_value(tp) if assignment and tp in assignment.tps else None

    def _take(self, partitions: AbstractSet[TopicPartition]) -> dict[TopicPartition, Chunk]:
        fetcher = self._fetcher
        if fetcher._subscriptions.reassignment_in_progress:
            return {}
        chunks: dict[TopicPartition, Chunk] = {}
        fetcher.left = fetcher._records.keys() - partitions
        for tp in [tp for tp in fetcher._records if tp in partitions]:
            fetched = fetcher._records.pop(tp)
            fetcher._notify(fetcher._wait_consume_future)  # the next fetch of this partition may start
            if isinstance(fetched, FetchError):
                _raise(fetched)
            elif fetched.check_assignment(tp):
                try:
                    chunk = unpack(tp, fetched._partition_records)
                except CorruptRecordException as error:  # the position stays: fetched again
                    self._again(tp, fetched._partition_records.next_fetch_offset, error)
                    continue
                fetched._update_position()
                self._corrupt.pop(tp, None)
                chunks[tp] = chunk
        return chunks

    def _again(self, tp: TopicPartition, offset: int, error: CorruptRecordException) -> None:
        """What came over the network in pieces is mended by another fetch, what lies so on a disk is not."""
        before, times = self._corrupt.get(tp, (offset, 0))
        self._corrupt[tp] = offset, times + 1 if before == offset else 1
        if self._corrupt[tp][1] >= FETCHES:
            raise LogCorrupt(
                f"{tp.topic}[{tp.partition}] cannot be read from offset {offset} on, at none of {FETCHES} fetches: "
                f"{error}",
                "See with kafka-dump-log.sh which broker has it whole, and make that one the leader; or delete the "
                "records up to it with kafka-delete-records.sh, stop all workers and run `pintally accept-loss`.",
            )
        log.warning(
            "%s[%d] cannot be read from offset %d on, it is fetched again: %s", tp.topic, tp.partition, offset, error,
            extra={"topic": tp.topic, "partition": tp.partition, "offset": offset},
        )  # fmt: skip


def producer_tasks(producer: AIOKafkaProducer) -> Iterable["asyncio.Task[Any] | None"]:
    """What must run as long as a producer: what it is given would wait for ever without them."""
    return producer._sender._sender_task, producer.client._sync_task


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


def _raise(error: FetchError) -> None:
    try:
        error.check_raise()
    except NoOffsetForPartitionError:
        log.debug("a fetch before the first seek; the seek follows")


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
