"""Faults of Kafka's and ClickHouse's processes."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pintally.tools.drill.stage import Stage, bit, fault
from pintally.tools.engines.child import Child
from pintally.tools.engines.ready import wait_until

BACK_SECONDS = 300.0  # a busy machine takes long, and an engine that is given up is stopped for good
NOTICED_SECONDS = 45.0
FULL_SECONDS = 60.0
COUNTED_SECONDS = 90.0


@contextmanager
def down(engine: Child) -> Iterator[int]:
    """Killed until the end of the block, then started and waited for; gives the process id it had."""
    pid = _running(engine)
    engine.kill()
    try:
        yield pid
    finally:
        engine.start()
        engine.wait_ready(BACK_SECONDS)


@contextmanager
def stopped(engine: Child) -> Iterator[int]:
    """SIGSTOP until the end of the block; gives the process id."""
    pid = _running(engine)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


def _running(engine: Child) -> int:
    """Its process id, once it has one: after a crash it is started again. Zero would be this process's whole group."""
    wait_until(lambda: engine.pid is not None, BACK_SECONDS)
    pid = engine.pid
    bit(pid, f"it did not run within {BACK_SECONDS:.0f} s")
    assert pid
    return pid


def connections(stage: Stage) -> int:
    """How often workers have connected to Kafka by now."""
    return sum(door.traffic.connections for door in stage.kafka_doors)


@fault("broker-kill", "its process was gone, the workers' connections broke, and counting went on with the next one")
def kill_broker(stage: Stage) -> str:
    """kill -9 of the Kafka broker, then a start on the same data."""
    kafka = stage.stack.engines.kafka
    before = connections(stage)
    with down(kafka) as pid:
        bit(kafka.pid is None, f"Kafka still runs as process {pid}")
        time.sleep(stage.rng.choice((0.0, 1.0, 1.5 * stage.session)))
    bit(wait_until(lambda: connections(stage) > before, NOTICED_SECONDS), "no worker had to connect again")
    bit(stage.probe.wait_caught_up(COUNTED_SECONDS), f"nothing was counted {COUNTED_SECONDS:.0f} s after its return")
    return f"process {pid} killed, process {kafka.pid} since; {connections(stage) - before} new connections"


@fault("broker-pause", "not a byte came from Kafka while it was stopped")
def pause_broker(stage: Stage) -> str:
    """SIGSTOP of the Kafka broker past the workers' session, then SIGCONT."""
    seconds = stage.session * (0.8 + stage.rng.random())
    with stopped(stage.stack.engines.kafka) as pid:
        time.sleep(0.5)
        before = sum(door.traffic.down for door in stage.kafka_doors)
        time.sleep(seconds)
        heard = sum(door.traffic.down for door in stage.kafka_doors) - before
    bit(heard == 0, f"{heard} bytes came from Kafka while process {pid} was stopped")
    bit(stage.probe.wait_caught_up(COUNTED_SECONDS), f"nothing was counted {COUNTED_SECONDS:.0f} s after it went on")
    return f"process {pid} stopped for {seconds:.1f} s"


@fault("clickhouse-kill", "its process was gone, and a flush failed and was merged back")
def kill_clickhouse(stage: Stage) -> str:
    """kill -9 of ClickHouse, then a start on the same data."""
    clickhouse, merged = stage.stack.engines.clickhouse, stage.tally.count("merge_backs")
    time.sleep(stage.rng.random())
    with down(clickhouse) as pid:
        bit(clickhouse.pid is None, f"ClickHouse still runs as process {pid}")
        failed = stage.tally.wait("merge_backs", merged, NOTICED_SECONDS)
    bit(failed, "no flush failed while it was away")
    return f"process {pid} killed, {stage.tally.count('merge_backs') - merged} flushes merged back"


@fault("clickhouse-pause", "workers asked, and not a byte came from ClickHouse while it was stopped")
def pause_clickhouse(stage: Stage) -> str:
    """SIGSTOP of ClickHouse in the middle of whatever it does, then SIGCONT."""
    seconds = stage.session * (1.0 + stage.rng.random())
    time.sleep(stage.rng.random())
    with stopped(stage.stack.engines.clickhouse) as pid:
        time.sleep(0.5)
        asked = sum(door.traffic.up + door.traffic.connections for door in stage.clickhouse_doors)
        before = sum(door.traffic.down for door in stage.clickhouse_doors)
        time.sleep(seconds)
        heard = sum(door.traffic.down for door in stage.clickhouse_doors) - before
        waiting = sum(door.traffic.up + door.traffic.connections for door in stage.clickhouse_doors) - asked
    bit(heard == 0, f"{heard} bytes came from ClickHouse while process {pid} was stopped")
    bit(waiting > 0 or seconds > 1, "nobody asked")
    bit(stage.probe.wait_caught_up(COUNTED_SECONDS), f"nothing was counted {COUNTED_SECONDS:.0f} s after it went on")
    return f"process {pid} stopped for {seconds:.1f} s"


@fault("clickhouse-outage", "a worker's memory reached its budget: it paused reading, and went on afterwards")
def long_outage(stage: Stage) -> str:
    """ClickHouse is away until memory is full and reading pauses."""
    stage.calm()  # whoever waits for the ledger counts nothing, and never gets full
    pauses, resumptions = stage.tally.count("pauses"), stage.tally.count("resumptions")
    began = time.monotonic()
    with down(stage.stack.engines.clickhouse):
        paused = stage.tally.wait("pauses", pauses, FULL_SECONDS)
        time.sleep(4 * stage.session)
        seconds = time.monotonic() - began
    bit(paused, f"no worker paused reading within {FULL_SECONDS:.0f} s")
    resumed = stage.tally.wait("resumptions", resumptions, COUNTED_SECONDS)
    bit(resumed, "no worker said that reading goes on")
    return f"away for {seconds:.0f} s; {stage.tally.count('pauses') - pauses} pauses"
