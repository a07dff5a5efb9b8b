"""What goes wrong in a day, which alerts must fire for it, and how it is mended: as docs/runbook.md says."""

import asyncio
import signal
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer

from pintally.schemas.actions import dead_letter_topic
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.kafka.topics import describe_topics
from pintally.tools.drill.proxy import Mode
from tests.e2e.running import TRANSACTION_MS, Traffic, pintally, wait_for
from tests.operate.world import World

AWAY_S = 120.0  # after which PintallyEngineAway fires
RETENTION_MS = 60_000

Fault = Callable[[World], AbstractContextManager[None]]


@dataclass(frozen=True)
class Stage:
    """One fault. `page` is the section of the runbook that the page leads to; None: it need not lead to any.

    `late`: what may fire too if workers take long to start again, for the time of a start is not divided.
    """

    name: str
    fault: Fault
    alerts: frozenset[str]
    page: str | None = None
    late: frozenset[str] = frozenset()


@contextmanager
def worker_killed_and_started(world: World) -> Iterator[None]:
    """A supervisor starts it again at once."""
    world.workers["one"].kill()
    world.start_worker("one")
    yield


@contextmanager
def worker_killed(world: World) -> Iterator[None]:
    """Nobody starts it again."""
    world.workers["one"].kill()
    yield
    world.start_worker("one")


@contextmanager
def worker_frozen(world: World) -> Iterator[None]:
    """The process is stopped: it says nothing and does not end."""
    world.workers["two"].signal(signal.SIGSTOP)
    yield
    world.workers["two"].kill()
    world.start_worker("two")


@contextmanager
def no_worker(world: World) -> Iterator[None]:
    """All are told to end."""
    for worker in world.workers.values():
        worker.stop()
    yield
    world.start_workers()


@contextmanager
def clickhouse_away(world: World) -> Iterator[None]:
    """ClickHouse is stopped for minutes."""
    world.engines.clickhouse.stop()
    yield
    world.engines.clickhouse.start()
    world.engines.clickhouse.wait_ready()


@contextmanager
def kafka_away(world: World) -> Iterator[None]:
    """Kafka is stopped for minutes."""
    world.engines.kafka.stop()
    yield
    world.engines.kafka.start()
    world.engines.kafka.wait_ready()


@contextmanager
def clickhouse_slow(world: World) -> Iterator[None]:
    """Each flush takes many seconds."""
    with world.to_clickhouse.failing(Mode.DELAY):
        yield


@contextmanager
def serve_ended(world: World) -> Iterator[None]:
    """`pintally serve` is killed."""
    world.end_serve()
    yield
    world.start_serve()


@contextmanager
def producer_mad(world: World) -> Iterator[None]:
    """A release of a producer: two of its five records are invalid, one of ten comes hours late."""
    mad = ("--rate", "900", "--broken", "0.4", "--late", "0.1", "--duplicates", "0", "--seed", "7")
    with Traffic(world.settings, *mad) as traffic:
        yield
        traffic.stop()


@contextmanager
def letters_refused(world: World) -> Iterator[None]:
    """The topics of dead letters take no record of more than 80 bytes, and few records are invalid."""
    topics = [dead_letter_topic(name) for name in world.settings.topics.names.values()]
    set_topic_configs(world.settings.kafka, {topic: {"max.message.bytes": "80"} for topic in topics})
    with Traffic(world.settings, "--rate", "20", "--broken", "0.02", "--late", "0", "--duplicates", "0", "--seed", "7"):
        yield
    set_topic_configs(world.settings.kafka, {topic: {"max.message.bytes": "1048588"} for topic in topics})


@contextmanager
def retention_near(world: World) -> Iterator[None]:
    """A topic keeps its records for a minute, and no worker runs. Traffic goes on, so no segment is deleted yet."""
    kafka, topics = world.settings.kafka, world.settings.topics
    topic = next(iter(topics.names.values()))
    before = describe_topics(kafka, topics)[topic].retention_ms
    with no_worker(world):
        set_topic_configs(kafka, {topic: {"retention.ms": str(RETENTION_MS)}})
        yield
        set_topic_configs(kafka, {topic: {"retention.ms": str(before)}})


@contextmanager
def rules_changed(world: World) -> Iterator[None]:
    """Workers are started with another lateness, and nobody ran `pintally rules apply`."""
    other = world.settings.changed(allowed_lateness_seconds=7200)
    for worker in world.workers.values():
        worker.stop()
    world.start_workers(allowed_lateness_seconds=7200)
    wait_for(lambda: not any(worker.alive for worker in world.workers.values()), 60, "workers refuse")
    yield
    done = pintally(other, "rules", "apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    world.start_workers(allowed_lateness_seconds=7200)
    world.settings = other


@contextmanager
def transaction_open(world: World) -> Iterator[None]:
    """A producer begins a transaction and does not end it."""
    begun, ended = threading.Event(), threading.Event()

    async def hold() -> None:
        async with hanging(world):
            begun.set()
            await asyncio.to_thread(ended.wait)

    with ThreadPoolExecutor(1) as thread:  # Playwright has a loop of its own in this one
        holding = thread.submit(asyncio.run, hold())
        try:
            assert begun.wait(60)
            yield
        finally:
            ended.set()
        holding.result()


@asynccontextmanager
async def hanging(world: World) -> AsyncIterator[None]:
    """A record in a transaction; at the end it is aborted."""
    kafka = world.settings.kafka.bootstrap_servers
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, transactional_id=f"hanging-{uuid.uuid4()}", transaction_timeout_ms=TRANSACTION_MS
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(next(iter(world.settings.topics.names.values())), b"{}", partition=0)
        yield
        await producer.abort_transaction()
    finally:
        await producer.stop()


def fires(*alerts: str) -> frozenset[str]:
    """Alerts, without the beginning that all names have."""
    return frozenset(f"Pintally{alert}" for alert in alerts)


NONE = fires()
# Workers start and restore their state in a time that is not divided: on a busy machine in minutes of the day.
STARTING = fires("NoWorker", "SourceStalled", "WorkerDown")
STAGES = (
    Stage("a worker is killed, and started again", worker_killed_and_started, NONE),
    Stage("a worker is killed for good", worker_killed, fires("WorkerDown"), "pintallyworkerdown"),
    Stage("a worker is frozen", worker_frozen, fires("WorkerDown"), "pintallyworkerdown"),
    Stage("all workers end", no_worker, fires("NoWorker"), "pintallynoworker", STARTING),
    Stage("ClickHouse is away", clickhouse_away, fires("EngineAway"), "pintallyengineaway"),
    Stage("Kafka is away", kafka_away, fires("EngineAway"), "pintallyengineaway", STARTING),
    Stage("pintally serve is killed", serve_ended, fires("ServeDown")),
    Stage("a producer goes mad", producer_mad, fires("InvalidRecords", "LateRecords"), "pintallyinvalidrecords"),
    Stage("ClickHouse is slow", clickhouse_slow, fires("FreshnessBurnsFast")),
    Stage("a dead-letter topic refuses", letters_refused, fires("DeadLettersRefused"), "pintallydeadlettersrefused"),
    Stage("a transaction stays open", transaction_open, fires("SourceBlocked"), "pintallysourceblocked"),
    Stage("retention comes near", retention_near, fires("NoWorker", "RetentionNear"), "pintallynoworker", STARTING),
    Stage("rules change, and are not applied", rules_changed, fires("NoWorker"), "pintallynoworker", STARTING),
)


def play(world: World, stage: Stage, patience: float) -> float:
    """Play a stage: its alerts fire, and no other; then all are silent. Returns how long it took in seconds."""
    began, clock = time.time(), time.monotonic()
    with stage.fault(world):
        if stage.alerts:
            world.wait_firing(set(stage.alerts), patience)
        else:
            world.passes(AWAY_S)
        if stage.page:
            world.wait_page(stage.page)  # its own times are not divided
    world.wait_silent()
    fired = world.prometheus.fired(began)
    assert stage.alerts <= fired <= stage.alerts | stage.late, f"{stage.name}: {fired} fired"
    return time.monotonic() - clock


def restart_kafka(world: World) -> float:
    """Kafka is restarted, as in an upgrade: alerts fire only if it is away for two minutes of the day.

    Then it is longer than a session, so workers start again too, which takes them a time that is not divided.
    """
    began, clock = time.time(), time.monotonic()
    world.engines.kafka.stop()
    world.engines.kafka.start()
    world.engines.kafka.wait_ready()
    away = (time.monotonic() - clock) * world.factor
    world.passes(AWAY_S)
    world.wait_silent()
    fired = world.prometheus.fired(began)
    may = fires("EngineAway") | STARTING if away > AWAY_S else NONE
    assert fired <= may, f"Kafka away for {away:.0f} s: {fired}"
    return time.monotonic() - clock
