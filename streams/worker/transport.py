"""Kafka to Faust, one event a chunk. With table.py, runner.py and app.py it touches Faust's internals (0.15.3).

Faust delivers, acknowledges and commits per record; here a "message" is a chunk, and nothing of that is trusted:
the fold refuses a chunk that does not start at its position, commits follow the ledger, and a seek goes to the
fold's position. `tests/worker/test_internals.py` fails when an overridden piece of Faust changes its form.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic
from typing import Any

import aiokafka
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaError
from faust import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from pintally.streams.counting.log import Chunk
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.kafka.fetching.consumer import ChunkedConsumer, PatientProducer, producer_tasks
from pintally.streams.log.exceptions import named
from pintally.streams.worker.fatal import end_by, end_on_loop_errors, end_with
from pintally.streams.worker.outage import COMMITS, KAFKA
from pintally.streams.worker.session_watchdog import SessionWatchdog

log = logging.getLogger(__name__)

# A fetch of a partition is a chunk. Each has its costs in aiokafka, Faust and the fold: with 2 MiB instead of 1 an
# event costs a worker that catches up 0.2 us less, and its peak is 40 MiB higher. With 4 it costs as much, for 60 more.
CHUNK_BYTES = 2 * 1024 * 1024
FETCH_BYTES = 50 * 1024 * 1024  # a fetch of all partitions
# A fetch waits until there is this much, but not longer than that. Near the head of the log chunks would be small else,
# and each fetch, chunk and wakeup has its cost: at 1,000 events a second a worker takes 0.06 cores instead of 0.16, at
# 10,000 it takes 0.08 instead of 0.19, at 50,000 it takes 0.19 instead of 0.33. At most an event is seen so much later.
# One partition with a backlog fills it alone: it is not more than CHUNK_BYTES.
FETCH_MIN_BYTES = 1024 * 1024
FETCH_WAIT_MS = 200
# How soon a worker hears that its group rebalances, or that another one has its place: all wait for the last to join.
HEARTBEAT_MS = 250
COMMIT_SECONDS = 5.0  # until the next one is due
METADATA_MS = 30_000  # how soon partitions that were added are found; Kafka's clients take five minutes


class ChunkConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches: read_committed, sticky, in chunks."""

    paused: frozenset[TP] = frozenset()  # fetched no further, polled all the same
    watchdog: SessionWatchdog | None = None  # from the start of the consumer on

    def _create_worker_consumer(self, transport: "ChunkTransport") -> ChunkedConsumer:
        conf, settings = self.app.conf, self.app.settings
        self.watchdog = SessionWatchdog(settings.kafka, settings.worker.session_timeout_seconds, self._failed)
        session_ms = int(conf.broker_session_timeout * 1000)
        return ChunkedConsumer(
            self.watchdog,
            **kafka_options(settings.kafka),
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=settings.kafka.group_instance_id,
            partition_assignment_strategy=(StickyPartitionAssignor,),
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=CHUNK_BYTES,
            fetch_min_bytes=FETCH_MIN_BYTES,
            fetch_max_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=session_ms,
            rebalance_timeout_ms=session_ms,
            heartbeat_interval_ms=min(session_ms // 5, HEARTBEAT_MS),
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            metadata_max_age_ms=METADATA_MS,
        )

    async def on_start(self) -> None:
        """Start the consumer, and watch what it runs in the background."""
        end_on_loop_errors(self.app, self.thread_loop)
        await super().on_start()
        end_with(self.app, "a background task of the consumer", self.chunked.background_tasks())

    @property
    def chunked(self) -> ChunkedConsumer:
        """The consumer. Raises ConsumerNotStarted before it is made."""
        consumer: ChunkedConsumer = self._ensure_consumer()
        return consumer

    def _failed(self, error: BaseException) -> None:
        end_by(self.app, error, "while it reads")

    async def _fetch_records(
        self,
        consumer: ChunkedConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Mapping[TP, Iterator[Chunk]]:
        if not self.consumer.flow_active:
            return {}
        try:
            chunks = await consumer.chunks(active_partitions - self.paused, timeout or 0.0)
        except Exception as error:  # Faust would stop service by service, and wait for this thread
            self._failed(error)
            raise
        # Iterators let go of what was taken from them. Faust's method queue keeps the answers to its last two calls,
        # and with them it kept all their chunks, which had long been counted: 4 to 34 MiB of a peak of 390.
        return {tp: iter((chunk,)) for tp, chunk in chunks.items()}

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit for lag tools. A failed commit is no error: recovery reads the ledger, not the group's offsets.

        aiokafka would try again for ever, and not say so.
        """
        try:
            keyed = {aiokafka.TopicPartition(tp.topic, tp.partition): offset for tp, offset in offsets.items()}
            await self.call_thread(asyncio.wait_for, self.chunked.commit(keyed), COMMIT_SECONDS)
        except TimeoutError:
            if not KAFKA.seconds:
                COMMITS.away(
                    "Kafka does not take them: is its topic __consumer_offsets well?", "lag as other tools see it"
                )
            return False
        except KafkaError as error:
            log.info("the group's offsets are not committed, the next commit will do it: %s", named(error))
            return False
        COMMITS.back()
        # Else Faust reports after five minutes that nothing is committed.
        self.tp_last_committed_at.update(dict.fromkeys(offsets, monotonic()))
        return True

    def highwater(self, tp: TP) -> int | None:
        """The end of what may be read of a log, as last heard of, or None while it is not known.

        Records behind an open transaction are left out: to wait for them, however many, is not to be behind.
        """
        return self.chunked.readable_end(tp)


class NoReadOffsets(dict[TP, int | None]):
    """Forgets every read offset: Faust would drop what it takes for a repeat, the fold decides that alone."""

    def __getitem__(self, tp: TP) -> int | None:
        return None


class ChunkConsumer(driver.Consumer):
    """Chunks in, positions of the folds out."""

    _thread: ChunkConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = NoReadOffsets()

    def _new_consumer_thread(self) -> ChunkConsumerThread:
        return ChunkConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        chunk: Chunk = record
        return ConsumerMessage(
            chunk.topic, chunk.partition, chunk.start, None, None, None, None, chunk, None, 0, 0, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def ack(self, message: ConsumerMessage) -> bool:
        """Mark a chunk as processed; nothing is committed by it."""
        message.acked = True
        self._unacked_messages.discard(message)
        if self._waiting_for_ack is not None and not self._waiting_for_ack.done():
            self._waiting_for_ack.set_result(None)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets without a record are the fold's to count."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(())

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        flushed: Mapping[TP, int] = self.app.tables.flushed_positions()
        return {tp: offset for tp, offset in flushed.items() if offset > (self._committed_offset[tp] or 0)}

    async def perform_seek(self) -> None:
        """Seek every assigned source to its fold's position."""
        await self.seek_to_folds(self.assignment())

    async def seek_to_folds(self, tps: Iterable[TP]) -> None:
        """Seek to where the fold of each partition stands; partitions without a fold are left alone."""
        positions: Mapping[TP, int] = self.app.tables.positions()
        await self.seek_wait({tp: positions[tp] for tp in tps if tp in positions})

    def pause(self, tps: Iterable[TP]) -> None:
        """Deliver no further chunks of these, and of all others again. Polling and heartbeats go on; Kafka is the
        buffer.
        """
        self._thread.paused = frozenset(tps)

    @property
    def paused_partitions(self) -> int:
        """How many of the assigned partitions are paused."""
        return len(self._thread.paused & self.assignment())

    @property
    def silence(self) -> float | None:
        """Seconds since the group's coordinator last answered; None before it has."""
        return self._thread.watchdog.silence if self._thread.watchdog else None

    def stay(self) -> None:
        """Nothing is read yet, and this worker is to keep its place in the group all the same."""
        self._thread.chunked.stay()

    @property
    def member_id(self) -> str:
        """Its name in the group; empty before it has joined, and while it joins again."""
        return self._thread.chunked.member_id

    def fetch_position(self, tp: TP) -> int | None:
        """The next offset to fetch, or None while there is none."""
        return self._thread.chunked.fetch_position(tp)

    def unknown_topics(self) -> set[str]:
        """Topics that are read, and that Kafka does not know any more."""
        return self._thread.chunked.unknown_topics()

    def ends(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Last stable offset and end of each assigned log, as far as they are known."""
        known = {(tp.topic, tp.partition): self._thread.chunked.ends(tp) for tp in self.assignment()}
        return {at: ends for at, ends in known.items() if ends is not None}


class WatchedProducer(driver.Producer):
    """The producer of dead letters. If what it runs in the background ended, they would wait for ever."""

    async def on_start(self) -> None:
        """Start it, and watch."""
        await super().on_start()
        end_with(self.app, "a background task of the producer", producer_tasks(self._ensure_producer()))

    @property
    def _producer_type(self) -> Any:
        return PatientProducer


class ChunkTransport(driver.Transport):
    """Faust's aiokafka transport with chunks for messages."""

    Consumer = ChunkConsumer
    Producer = WatchedProducer


class ChunkSchema(Schema):
    """Wraps a chunk in a Faust event as it is; decoding is the fold's first step."""

    def compile(self, app: Any, *, on_key_decode_error: Any, on_value_decode_error: Any, **kwargs: Any) -> Any:
        """The function Faust calls for each message of a topic with this schema."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, None, message)

        return decode


def running_producer(app: Any) -> aiokafka.AIOKafkaProducer:
    """aiokafka's producer, which Faust starts and stops with the app. Raises NotReady before it is started."""
    producer: aiokafka.AIOKafkaProducer = app.producer._ensure_producer()
    return producer
