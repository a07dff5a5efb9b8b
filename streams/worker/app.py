"""The Faust app: wiring only. `faust -A pintally.streams.worker.app worker` and `pintally worker` run it."""

import logging
from functools import partial
from time import monotonic
from typing import Any

import clickhouse_driver.numpy.helpers  # noqa: F401 - loads pandas (0.5 s) now, not in the first flush
import faust
from aiokafka.errors import KafkaError
from faust.types import TP
from yarl import URL

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.maintenance import MaintainedSink
from pintally.streams.counting.fold import SourceFold
from pintally.streams.kafka.open_transactions import abort
from pintally.streams.settings import Settings, load_settings
from pintally.streams.worker.agents import counting_agent
from pintally.streams.worker.ask import ask_why
from pintally.streams.worker.backpressure import Flow
from pintally.streams.worker.behind import BrokersBehind
from pintally.streams.worker.clock_differences import ClockDifferences
from pintally.streams.worker.credentials import faust_credentials
from pintally.streams.worker.dead_letter_topics import BATCH_BYTES, DeadLetterTopics
from pintally.streams.worker.fatal import end_by
from pintally.streams.worker.finality import seal_final_hours
from pintally.streams.worker.flush import Flusher
from pintally.streams.worker.gc_tuning import keep_off_hot_path
from pintally.streams.worker.held_back import HeldBack
from pintally.streams.worker.interval import paced
from pintally.streams.worker.process import refuse
from pintally.streams.worker.runner import CountingWorker
from pintally.streams.worker.signals import watch
from pintally.streams.worker.table import CellTable, SourceTables
from pintally.streams.worker.transport import ChunkSchema, ChunkTransport, running_producer

log = logging.getLogger(__name__)

ACKNOWLEDGED_SECONDS = 10.0  # how long a flush waits for its dead letters, before the next one tries again
CHUNKS_QUEUED = 4  # an agent
WATCH_SECONDS = 0.5
ASK_SECONDS = 5.0
HELD_BACK_SECONDS = 10.0
# After so many sessions a request without an answer is sent again. With Faust's 90 s partitions stay uncounted for as
# long where Kafka took a connection while it was cut off or starting. More than one: Kafka holds a join back while a
# group rebalances, which lasts one.
ANSWERED_SESSIONS = 3
SILENT_SECONDS = 86_400.0  # Faust's words about commits that wait: they follow the ledger, and we say what it waits for


class CountingApp(faust.App):
    """Faust with our transport and tables, a sink, and what watches over them."""

    settings: Settings
    sink: MaintainedSink
    flusher: Flusher
    flow: Flow

    def _new_transport(self) -> ChunkTransport:
        return ChunkTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Faust makes a data folder here; all state is in the log and the ledger."""

    def lag(self, fold: SourceFold) -> int:
        """Offsets between the fold and the end of what may be read of its log, as far as the consumer knows."""
        highwater = self.consumer.highwater(TP(fold.source.topic, fold.source.partition))
        return max(0, (highwater or 0) - fold.position)

    def queued(self, topic: str) -> bool:
        """Whether chunks of a topic wait for their agent."""
        return any(not agent.channel.queue.empty() for agent in self.agents.values() if topic in agent.channel.topics)

    async def on_started(self) -> None:
        """All is loaded: what was made so far stays."""
        keep_off_hot_path()
        await super().on_started()

    async def on_stop(self) -> None:
        """Flush what is folded, then stop; after a crash nothing is flushed any more."""
        if not self._crashed.is_set():
            try:
                await self.flusher.flush()
            except (PintallyError, KafkaError) as error:  # whoever counts on folds it again
                log.error("stopped without recording what was folded last: %s", error)
        await super().on_stop()


def create_app(settings: Settings, sink: MaintainedSink | None = None) -> CountingApp:
    """The app for these settings; `sink` is ClickHouse unless given."""
    app = CountingApp(
        settings.kafka.group_id,
        env={},  # else Faust's own variables (BROKER_URL, WEB_PORT, APP_VERSION, ...) win over what is set here
        broker=[URL(f"kafka://{server.strip()}") for server in settings.kafka.bootstrap_servers.split(",")],
        broker_credentials=faust_credentials(settings.kafka),
        Worker=CountingWorker,
        store="memory://",
        TableManager=SourceTables,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        processing_guarantee="at_least_once",
        broker_request_timeout=ANSWERED_SESSIONS * settings.worker.session_timeout_seconds,
        broker_session_timeout=settings.worker.session_timeout_seconds,
        broker_commit_interval=5.0,
        broker_commit_livelock_soft_timeout=SILENT_SECONDS,
        producer_max_batch_size=BATCH_BYTES,
        producer_request_timeout=ACKNOWLEDGED_SECONDS,
        stream_buffer_maxsize=CHUNKS_QUEUED,
        stream_recovery_delay=0.0,
        web_enabled=settings.worker.web_port is not None,
        web_bind="127.0.0.1",
        web_port=settings.worker.web_port or 6066,
    )
    app.settings = settings
    app.sink = sink or ClickHouseSink(settings.clickhouse)
    app.flow = Flow(app)
    for topic, action in settings.topics.actions.items():
        _count(app, action, topic)
    app.flusher = Flusher(
        app.sink,
        DeadLetterTopics(partial(running_producer, app)),
        app.tables.folds,
        app.lag,
        settings.worker.max_pending_cells,
    )
    _watch(app)
    return app


def _count(app: CountingApp, action: Action, topic: str) -> None:
    """One topic, one table, one agent."""
    channel = app.topic(topic, schema=ChunkSchema())
    table = app.tables.add(CellTable(app, action=action, topic=topic, changelog_topic=channel))
    app.agent(channel, name=f"count_{table.name.removesuffix('_cells')}s")(counting_agent(app, table))


def _watch(app: CountingApp) -> None:
    """The timers: flushes, the flow of chunks, sealing."""

    async def guarded(what: str, step: Any) -> None:
        try:
            await step
        except Exception as error:  # nothing of it may stay in a log alone
            end_by(app, error, what)
            raise

    @app.task
    async def flush() -> None:
        async for _ in paced(app.settings.worker.flush_interval_seconds, app.sleep):
            if app.should_stop:
                return
            await guarded("in a flush", app.flusher.flush())
            app.flow.pause_if_full()

    @app.timer(WATCH_SECONDS)
    async def look_for_gaps() -> None:
        if not app.rebalancing:
            await app.flow.seek_stuck()

    @app.task
    async def ask() -> None:
        while not app.should_stop:
            await app.sleep(ASK_SECONDS)
            await guarded(
                "while Kafka is asked why",
                ask_why(app.settings.kafka, app.settings.topics, app.consumer.unknown_topics()),
            )

    held = HeldBack()

    @app.timer(HELD_BACK_SECONDS)
    async def tell_what_is_held_back() -> None:
        for topic, partition, offset, seconds in held.look(monotonic(), app.consumer.ends()):
            log.warning(
                "%s[%d] has waited %.0f s for an open transaction from offset %d on; `pintally status` names its "
                "producer. If that is gone for good: %s",
                topic, partition, seconds, offset, abort(str(app.settings.kafka), topic, partition, offset),
            )  # fmt: skip

    clocks, brokers = ClockDifferences(), BrokersBehind()

    @app.task
    async def compare_clocks() -> None:
        await guarded("while clocks are compared", clocks.compare(app.sink))

    @app.timer(app.settings.worker.seal_seconds)
    async def seal() -> None:
        await guarded("while clocks are compared", clocks.compare(app.sink))
        step = seal_final_hours(app.settings, app.sink, app.consumer.assignment(), brokers, clocks.tell)
        await guarded("while sealing", step)


def __getattr__(name: str) -> Any:
    """`app`, made when `faust -A` asks for it, so that importing this module reads no settings."""
    if name == "app":
        try:
            watch.begin()
            return globals().setdefault("app", create_app(load_settings()))
        except PintallyError as error:
            refuse(error)
    raise AttributeError(name)
