"""What a scenario runs on: real engines, topics and tables of its own, workers that it starts, known records."""

import asyncio
import json
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.counting.recovery import follow
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.kafka.topics import create_topics, describe_topics, read_offsets, sources_of
from pintally.streams.settings import Settings
from pintally.tools.drill.probe import Probe
from pintally.tools.drill.proxy import Proxies, Proxy
from pintally.tools.drill.stack import settings_for
from pintally.tools.drill.truth import Cell, Expected
from pintally.tools.drill.workers import WorkerProcess
from pintally.tools.engines import EngineAddresses
from pintally.tools.engines.ports import free_port
from pintally.tools.engines.ready import wait_until
from tests.support.forkserver import Forked, fork_server

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
BATCH_BYTES = 512 * 1024
POLL_SECONDS = 0.2  # each look asks Kafka and ClickHouse
READ_SECONDS = 15.0
PATIENCE_SECONDS = 60.0  # for what always comes
# Producers' timestamps, so that no slice is cut because a machine is slow; small slices, so that few records end one.
CHOSEN = {
    "topic_timestamps": "CreateTime",
    "partitions": 1,
    "slice_records": 20,
    "session_timeout_seconds": 3.0,
    "flush_interval_seconds": 0.2,
    "allowed_lateness_seconds": 600,
}


@dataclass(frozen=True, slots=True)
class Event:
    """A record of a scenario, and whether it must be counted."""

    at: int  # ms: its Kafka timestamp
    pin: int = 1
    occurred_at: int | None = None  # ms; as `at` if not given
    event_id: uuid.UUID = field(default_factory=uuid.uuid4)
    counts: bool = True
    is_json: bool = True

    def value(self, action: Action) -> bytes:
        """What is sent."""
        if not self.is_json:
            return b"not JSON"
        return json.dumps(
            {
                "event_id": str(self.event_id),
                "action": action.label,
                "pin_id": str(self.pin),
                "user_id": "7",
                "occurred_at": self.at if self.occurred_at is None else self.occurred_at,
            }
        ).encode()

    def cell(self, action: Action) -> Cell:
        """Where it counts."""
        moment = self.at if self.occurred_at is None else self.occurred_at
        return Cell(int(action), moment // MINUTE_MS * 60, self.pin)


class ForkGuard:
    """A forked worker, as `WorkerProcess` knows the process that guards one: it ends when its stdin is closed."""

    stdout = None

    def __init__(self, fork: Forked) -> None:
        self.fork = fork
        self.stdin = self

    def close(self) -> None:
        """SIGTERM."""
        self.fork.send_signal(signal.SIGTERM)

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        return self.fork.returncode

    @property
    def returncode(self) -> int | None:
        """How it ended."""
        return self.fork.returncode

    def wait(self, seconds: float) -> int:
        """How it ended, once it has."""
        return self.fork.wait(seconds)


class ScenarioWorker(WorkerProcess):
    """A worker whose way to ClickHouse leads through a proxy."""

    proxy: Proxy
    forked = False  # else it is started as users start it

    def _spawn(self) -> tuple[Any, int]:
        if not self.forked:
            return super()._spawn()
        path = str(Path(__file__).parents[2])  # `tests` is not installed
        environment = {**self._environment, "PYTHONPATH": path}
        fork = fork_server().start(self._command, environment=environment, log=self.log, signals_wait=True)
        return ForkGuard(fork), fork.pid


class ScenarioContext:
    """What a scenario runs on."""

    def __init__(
        self, settings: Settings, folder: Path, proxies: Proxies, command: Sequence[str], forked: bool
    ) -> None:
        self.settings = settings  # straight to the engines; workers started from now on count by them
        self.folder = folder
        self.sink = ClickHouseSink(settings.clickhouse, READ_SECONDS)
        self.probe = Probe(self)
        self.expected = Expected()
        self.workers: list[ScenarioWorker] = []
        self._sources = sources_of(describe_topics(settings.kafka, settings.topics))
        self._ends: dict[Source, int] = {}  # as of the last sending
        self.begin = int(time.time() * 1000) // HOUR_MS * HOUR_MS - 6 * HOUR_MS  # ms; scenarios happen in the past
        self._proxies = proxies
        self._command = command
        self._forked = forked

    def start(self, held_table: str = "pin_minutes", name: str = "") -> ScenarioWorker:
        """Start a worker; its proxy can hold inserts into `held_table`."""
        name = name or f"worker-{len(self.workers) + 1}"
        proxy = Proxy(self._proxies, free_port([]), self.settings.clickhouse.port, held_table)
        proxy.open()
        through = self.settings.changed(clickhouse_host="127.0.0.1", clickhouse_port=proxy.port)
        worker = ScenarioWorker(through, self.folder / f"{name}.log", name, True, self._command)
        worker.proxy, worker.forked = proxy, self._forked
        self.workers.append(worker)
        worker.start()
        return worker

    def send(self, *events: Event, action: Action = Action.SAVE, partition: int = 0) -> None:
        """One batch, durable on return."""
        asyncio.run(self._send(events, action, partition))
        self.expected.add([event.cell(action) for event in events if event.counts], len(events))
        self._ends = {}

    async def _send(self, events: Sequence[Event], action: Action, partition: int) -> None:
        options = kafka_options(self.settings.kafka)
        async with AIOKafkaProducer(**options, enable_idempotence=True, max_batch_size=BATCH_BYTES) as producer:
            batch = producer.create_batch()
            for event in events:
                batch.append(timestamp=event.at, key=None, value=event.value(action))
            batch.close()
            answer = await producer.send_batch(batch, self.settings.topics.names[action], partition=partition)
            await answer

    def send_aborted(self, *events: Event, action: Action = Action.SAVE) -> None:
        """A transaction that is aborted."""
        asyncio.run(self._send_aborted(events, action))
        self._ends = {}

    async def _send_aborted(self, events: Sequence[Event], action: Action) -> None:
        options = kafka_options(self.settings.kafka)
        async with AIOKafkaProducer(**options, transactional_id=f"aborted-{uuid.uuid4()}") as producer:
            await producer.begin_transaction()
            for event in events:
                topic = self.settings.topics.names[action]
                await producer.send(topic, event.value(action), partition=0, timestamp_ms=event.at)
            await producer.flush()
            await producer.abort_transaction()

    def until(self, holds: Callable[[], Any], seconds: float = PATIENCE_SECONDS, pause_s: float = POLL_SECONDS) -> bool:
        """Wait until it holds; workers that end by themselves are started again meanwhile. Whether it did."""

        def look() -> Any:
            for worker in self.workers:
                worker.look()
            return holds()

        return wait_until(look, seconds, excused=(PintallyError,), pause_s=pause_s)

    def wait_counted(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait until the ledger covers the log; whether it did."""
        return self.until(lambda: self.lag() == 0, seconds)

    def positions(self) -> dict[Source, int]:
        """The offset below which each source is in the ledger. Raises PintallyError."""
        with self.sink.session() as session:
            ledgers = session.read_ledgers(self._sources)
        return {source: follow(ledger).position if ledger.starts else 0 for source, ledger in ledgers.items()}

    def ends(self) -> dict[Source, int]:
        """The end of each log."""
        if not self._ends:
            offsets = read_offsets(self.settings.kafka, self._sources)
            self._ends = {source: each.log_end for source, each in offsets.items()}
        return self._ends

    def lag(self) -> int:
        """Offsets that the log has and the ledger has not."""
        return self.behind(self.positions())

    def behind(self, positions: Mapping[Source, int]) -> int:
        """Offsets that the log has at and above these positions."""
        ends = self.ends()
        return sum(ends[source] - position for source, position in positions.items())

    def end(self) -> None:
        """Kill what runs."""
        for worker in self.workers:
            worker.kill()
            worker.stop()
            worker.proxy.close()


@contextmanager
def scenario_context(
    addresses: EngineAddresses,
    name: str,
    folder: Path,
    command: Sequence[str],
    chosen: Mapping[str, Any],
    *,
    forked: bool = False,
) -> Iterator[ScenarioContext]:
    """Topics, tables and a group of this name, left to whoever owns the engines; `chosen` are settings by name."""
    own = {"clickhouse_database": name, "topic_prefix": f"{name}.", "kafka_group_id": name}
    settings = settings_for(addresses, {**CHOSEN, **own, **chosen})
    migrate(settings.clickhouse)
    create_topics(*settings.sources)
    with ExitStack() as ends:
        proxies = ends.enter_context(Proxies())
        context = ScenarioContext(settings, folder, proxies, command, forked)
        ends.callback(context.end)
        yield context
