"""The Faust app: wiring only. `faust -A pintally.streams.worker.app worker` and `pintally worker` run it."""

import logging
from functools import partial
from time import monotonic, time
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.auth import SASLCredentials, SSLCredentials
from faust.types import TP
from yarl import URL

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink
from pintally.sinks.maintenance import MaintainedSink
from pintally.streams.counting.fold import SourceFold
from pintally.streams.http.listening import Listening
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.log.exceptions import named
from pintally.streams.settings import KafkaSettings, Settings, load_settings
from pintally.streams.worker.agents import counting_agent
from pintally.streams.worker.backpressure import Backpressure
from pintally.streams.worker.dead_letter_topics import BATCH_BYTES, DeadLetterTopics
from pintally.streams.worker.finality import Server
from pintally.streams.worker.flush import Flusher
from pintally.streams.worker.garbage import leave_loaded
from pintally.streams.worker.health import Health, Stage
from pintally.streams.worker.lag import caught_up
from pintally.streams.worker.process import refuse, watch
from pintally.streams.worker.runner import CountingWorker
from pintally.streams.worker.servers import servers_of, sink_of
from pintally.streams.worker.table import CellTable, SourceTables
from pintally.streams.worker.timers import start_timers
from pintally.streams.worker.transport import ChunkSchema, ChunkTransport, running_producer

log = logging.getLogger(__name__)

ACKNOWLEDGED_SECONDS = 10.0  # how long a flush waits for its dead letters, before the next one tries again
CHUNKS_QUEUED = 4  # an agent
# After so many sessions a request without an answer is sent again. With Faust's 90 s partitions stay uncounted for as
# long where Kafka took a connection while it was cut off or starting. More than one: Kafka holds a join back while a
# group rebalances, which lasts one.
ANSWERED_SESSIONS = 3
SILENT_SECONDS = 86_400.0  # Faust's words about commits that wait: they follow the ledger, and we say what it waits for


class CountingApp(faust.App):
    """Faust with our transport and tables, a sink, and what watches over them."""

    settings: Settings
    sink: Sink
    servers: list[Server]  # shard 0 first
    flusher: Flusher
    backpressure: Backpressure
    health: Health
    listening: Listening | None = None  # where metrics and health are served; taken at the start if not given
    caught_up: dict[Source, float]

    def _new_transport(self) -> ChunkTransport:
        return ChunkTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Faust makes a data folder here; all state is in the log and the ledger."""

    def end(self, fold: SourceFold) -> int | None:
        """The end of what may be read of its log, as far as the consumer knows."""
        end: int | None = self.consumer.highwater(TP(fold.source.topic, fold.source.partition))
        return end

    def lag(self, fold: SourceFold) -> int:
        """Offsets between the fold and the end of what may be read of its log, as far as the consumer knows."""
        return max(0, (self.end(fold) or 0) - fold.position)

    def follow(self) -> None:
        """After each flush: which sources are restored, and which are flushed to their end."""
        folds = list(self.tables.folds())
        self.tables.restoring.look(folds, monotonic())
        self.caught_up = caught_up([(fold, self.end(fold)) for fold in folds], self.caught_up, time())

    def queued(self, topic: str) -> bool:
        """Whether chunks of a topic wait for their agent."""
        return any(not agent.channel.queue.empty() for agent in self.agents.values() if topic in agent.channel.topics)

    async def on_started(self) -> None:
        """All is loaded: what was made so far stays."""
        leave_loaded()
        self.health.stage = Stage.RUNNING
        await super().on_started()

    async def on_stop(self) -> None:
        """Flush what is folded, then stop; after a crash nothing is flushed any more."""
        if not self._crashed.is_set():
            await self.flush_the_last()
        await super().on_stop()

    async def flush_the_last(self) -> None:
        """Flush what is folded: this worker stops."""
        self.health.stage = Stage.STOPPING
        try:
            await self.flusher.flush()
        except (PintallyError, KafkaError) as error:  # whoever counts on folds it again
            log.warning("it stops without the last flush, the next worker folds it again: %s", named(error))


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
    app.health, app.caught_up = Health(), {}
    sinks: list[MaintainedSink] = [sink] if sink else [*servers_of(settings.clickhouse)]
    app.sink = sink_of(sinks)
    app.servers = list(map(Server, settings.clickhouse.shards, sinks))
    app.backpressure = Backpressure(app)
    for topic, action in settings.topics.actions.items():
        _count(app, action, topic)
    app.flusher = Flusher(
        app.sink,
        DeadLetterTopics(partial(running_producer, app), settings.kafka.bootstrap_servers),
        app.tables.folds,
        app.lag,
        settings.worker.max_pending_cells,
    )
    start_timers(app)
    return app


def _count(app: CountingApp, action: Action, topic: str) -> None:
    """One topic, one table, one agent."""
    channel = app.topic(topic, schema=ChunkSchema())
    table = app.tables.add(CellTable(app, action=action, topic=topic, changelog_topic=channel))
    app.agent(channel, name=f"count_{table.name.removesuffix('_cells')}s")(counting_agent(app, table))


def faust_credentials(kafka: KafkaSettings) -> SASLCredentials | SSLCredentials | None:
    """The login to Kafka as a Faust app takes it; None without TLS and login. Raises LoginIncomplete."""
    options = kafka_options(kafka)
    context = options.get("ssl_context")
    if "sasl_mechanism" in options:
        return SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None


def __getattr__(name: str) -> Any:
    """`app`, made when `faust -A` asks for it, so that importing this module reads no settings."""
    if name == "app":
        from faust.cli.worker import worker as command

        try:
            watch.begin()
            command.on_worker_created = lambda *_: None  # its table: our first lines say what it is
            return globals().setdefault("app", create_app(load_settings(over_shards=True)))
        except PintallyError as error:
            refuse(error)
    raise AttributeError(name)
