"""Whoever is told to stop has stopped within 15 s, with exit code 0 and for good, in whatever state it is.

`PINTALLY_TEST_STOPS=100` tells a hundred workers while all cores are busy; usual are a few, in states chosen at random.
"""

import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pintally.streams.settings import Settings
from pintally.tools.drill.proxy import Mode, Proxies, Proxy
from pintally.tools.engines.ports import free_port
from tests.e2e.running import BUSY, Traffic, verify, wait_caught_up, workers
from tests.e2e.test_endings import busy, counting, supervised
from tests.support.engines import TestEngines
from tests.support.forkserver import Forked

ASKED = int(os.environ.get("PINTALLY_TEST_STOPS", "0"))
USUAL = 5
SECONDS = 15.0
ALLOWED = SECONDS if ASKED else SECONDS * BUSY  # beside other tests
PATIENCE = 90.0  # for the test to see it


@dataclass(slots=True)
class FaultContext:
    """What a worker that is to be stopped lives in."""

    folder: Path
    settings: Settings
    proxy: Proxy  # to ClickHouse
    kafka_pid: int | None
    rng: random.Random

    def start(self, **changes: object) -> Forked:
        """A worker; changes are of its settings."""
        return supervised(self.settings.changed(**changes), self.folder)

    def counting(self) -> Forked:
        """A worker that counts."""
        return counting(self.start())

    def some_time(self, longest: float) -> None:
        """Until a moment that nobody chose."""
        time.sleep(self.rng.uniform(0, longest))


State = Callable[[FaultContext], Iterator[Forked]]


def just_started(context: FaultContext) -> Iterator[Forked]:
    """Importing, joining, restoring."""
    worker = context.start()
    context.some_time(4)
    yield worker


def busy_counting(context: FaultContext) -> Iterator[Forked]:
    """Folding, or in the middle of a flush."""
    worker = context.counting()
    context.some_time(2)
    yield worker


def clickhouse(mode: Mode) -> State:
    """ClickHouse goes away while it counts."""

    def state(context: FaultContext) -> Iterator[Forked]:
        worker = context.counting()
        with context.proxy.failing(mode):
            if mode is Mode.REFUSE:
                context.proxy.cut()
            context.some_time(3)
            yield worker

    return state


def without_clickhouse(context: FaultContext) -> Iterator[Forked]:
    """It never got to the ledger."""
    with context.proxy.failing(Mode.REFUSE):
        worker = context.start()
        context.some_time(6)
        yield worker


def frozen_kafka(context: FaultContext) -> Iterator[Forked]:
    """Kafka answers nothing any more, for as long as a session, or longer."""
    assert context.kafka_pid
    worker = context.counting()
    os.kill(context.kafka_pid, signal.SIGSTOP)
    try:
        context.some_time(10)
        yield worker
    finally:
        os.kill(context.kafka_pid, signal.SIGCONT)


def without_kafka(context: FaultContext) -> Iterator[Forked]:
    """Nobody listens where Kafka should be."""
    worker = context.start(kafka_bootstrap_servers=f"127.0.0.1:{free_port([])}")
    context.some_time(6)
    yield worker


def mute_kafka(context: FaultContext) -> Iterator[Forked]:
    """Somebody listens there, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        worker = context.start(kafka_bootstrap_servers=f"127.0.0.1:{mute.getsockname()[1]}")
        context.some_time(6)
        yield worker


def hanging_loop(context: FaultContext) -> Iterator[Forked]:
    """Its loop does nothing any more."""
    trigger = context.folder / "trigger"
    trigger.unlink(missing_ok=True)
    worker = counting(supervised(context.settings, context.folder, "loop-hangs", str(trigger)))
    trigger.touch()
    time.sleep(0.2)
    yield worker


STATES: dict[str, State] = {
    "just-started": just_started,
    "counting": busy_counting,
    "clickhouse-hangs": clickhouse(Mode.BLACKHOLE),
    "clickhouse-refuses": clickhouse(Mode.REFUSE),
    "clickhouse-loses-answers": clickhouse(Mode.DROP_RESPONSES),
    "without-clickhouse": without_clickhouse,
    "kafka-frozen": frozen_kafka,
    "without-kafka": without_kafka,
    "kafka-mute": mute_kafka,
    "loop-hangs": hanging_loop,
}


def stopped(context: FaultContext, name: str) -> float:
    """A worker in this state is told to stop, once or twice; the seconds it took."""
    with contextmanager(STATES[name])(context) as worker:
        assert worker.poll() is None, f"{name}: ended by itself with {worker.poll()}:\n{worker.text()[-4000:]}"
        told, before = time.time(), len(worker.text())
        worker.send_signal(context.rng.choice([signal.SIGTERM, signal.SIGTERM, signal.SIGINT]))
        if context.rng.random() < 0.3:
            context.some_time(1)
            worker.send_signal(signal.SIGTERM)
        code = worker.wait(PATIENCE * BUSY)
    assert code == 0, f"{name}: ended with {code}:\n{worker.text()[-4000:]}"
    assert "this worker restarts" not in worker.text()[before:], name
    return worker.ended_at - told


@pytest.mark.timeout(3600)
def test_whoever_is_told_to_stop_has_stopped_in_every_state(
    stack: Settings, tmp_path: Path, engines: TestEngines
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    rng, kafka_pid = random.Random(seed), engines.kafka.pid
    names = [name for name in STATES if kafka_pid or name != "kafka-frozen"]
    rng.shuffle(names)
    names = [names[number % len(names)] for number in range(ASKED or USUAL)]
    print(f"seed {seed}: {', '.join(names)}")
    took: dict[str, float] = {}
    with (
        Proxies() as proxies,
        Traffic(stack, "--rate", "200"),
        busy(os.cpu_count() or 1 if ASKED else 0),
    ):
        proxy = Proxy(proxies, free_port([]), stack.clickhouse.port)
        proxy.open()
        through = {"clickhouse_host": "127.0.0.1", "clickhouse_port": proxy.port, "kafka_group_instance_id": "one"}
        context = FaultContext(tmp_path, stack.changed(**through), proxy, kafka_pid, rng)
        try:
            for number, name in enumerate(names):
                seconds = took[f"{number} {name}"] = stopped(context, name)
                assert seconds <= ALLOWED, (seed, name, seconds)
        finally:
            proxy.close()
    with workers(stack, tmp_path) as start:
        start("other")
        wait_caught_up(stack)
    verify(stack)
    slowest = max(took, key=lambda name: took[name])
    print(f"{len(took)} stops; the longest took {took[slowest]:.2f} s ({slowest})")
