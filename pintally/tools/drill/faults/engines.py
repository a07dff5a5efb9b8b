"""Faults of Kafka and ClickHouse: their processes, and a ClickHouse that runs and takes no inserts."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pintally.tools.drill.fault_context import FaultContext, fault, require_effect
from pintally.tools.engines.child import Child
from pintally.tools.engines.ready import wait_until

BACK_SECONDS = 300.0  # a busy machine takes long, and an engine that is given up is stopped for good
NOTICED_SECONDS = 45.0
FULL_SECONDS = 60.0
COUNTED_SECONDS = 90.0
TABLES = ("pin_minutes", "ingest_ledger")  # cells refused; or cells taken and the ledger refused
REFUSED_SECONDS = 60.0
EXABYTE = 10**18


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
    require_effect(pid, f"it did not run within {BACK_SECONDS:.0f} s")
    assert pid
    return pid


def connections(context: FaultContext) -> int:
    """How often workers have connected to Kafka by now."""
    return sum(proxy.traffic.connections for proxy in context.kafka_proxies)


@fault("broker-kill", "its process was gone, the workers' connections broke, and counting went on with the next one")
def kill_broker(context: FaultContext) -> str:
    """kill -9 of a Kafka broker, then a start on the same data."""
    kafka = context.rng.choice(context.stack.engines.brokers)
    before = connections(context)
    with down(kafka) as pid:
        require_effect(kafka.pid is None, f"Kafka still runs as process {pid}")
        time.sleep(context.rng.choice((0.0, 1.0, 1.5 * context.session)))
    require_effect(wait_until(lambda: connections(context) > before, NOTICED_SECONDS), "no worker had to connect again")
    require_effect(
        context.probe.wait_caught_up(COUNTED_SECONDS), f"nothing was counted {COUNTED_SECONDS:.0f} s after its return"
    )
    return f"process {pid} killed, process {kafka.pid} since; {connections(context) - before} new connections"


@fault("broker-pause", "not a byte came from Kafka while it was stopped")
def pause_broker(context: FaultContext) -> str:
    """SIGSTOP of a Kafka broker past the workers' session, then SIGCONT."""
    seconds = context.session * (0.8 + context.rng.random())
    broker = context.rng.randrange(len(context.stack.engines.brokers))
    with stopped(context.stack.engines.brokers[broker]) as pid:
        time.sleep(0.5)
        before = sum(proxy.traffic.down for proxy in context.proxies_of(broker))
        time.sleep(seconds)
        heard = sum(proxy.traffic.down for proxy in context.proxies_of(broker)) - before
    require_effect(heard == 0, f"{heard} bytes came from Kafka while process {pid} was stopped")
    require_effect(
        context.probe.wait_caught_up(COUNTED_SECONDS), f"nothing was counted {COUNTED_SECONDS:.0f} s after it went on"
    )
    return f"process {pid} stopped for {seconds:.1f} s"


@fault("clickhouse-kill", "its process was gone, and a flush failed")
def kill_clickhouse(context: FaultContext) -> str:
    """kill -9 of ClickHouse, then a start on the same data."""
    clickhouse, before = context.stack.engines.clickhouse, context.workers.count("flushes_failed")
    time.sleep(context.rng.random())
    with down(clickhouse) as pid:
        require_effect(clickhouse.pid is None, f"ClickHouse still runs as process {pid}")
        failed = wait_until(lambda: context.workers.count("flushes_failed") > before, NOTICED_SECONDS)
    require_effect(failed, "no flush failed while it was away")
    return f"process {pid} killed, {context.workers.count('flushes_failed') - before} flushes failed"


@fault("clickhouse-pause", "workers asked, and not a byte came from ClickHouse while it was stopped")
def pause_clickhouse(context: FaultContext) -> str:
    """SIGSTOP of ClickHouse in the middle of whatever it does, then SIGCONT."""
    seconds = context.session * (1.0 + context.rng.random())
    time.sleep(context.rng.random())
    with stopped(context.stack.engines.clickhouse) as pid:
        time.sleep(0.5)
        asked = sum(proxy.traffic.up + proxy.traffic.connections for proxy in context.clickhouse_proxies)
        before = sum(proxy.traffic.down for proxy in context.clickhouse_proxies)
        time.sleep(seconds)
        heard = sum(proxy.traffic.down for proxy in context.clickhouse_proxies) - before
        waiting = sum(proxy.traffic.up + proxy.traffic.connections for proxy in context.clickhouse_proxies) - asked
    require_effect(heard == 0, f"{heard} bytes came from ClickHouse while process {pid} was stopped")
    require_effect(waiting > 0 or seconds > 1, "nobody asked")
    require_effect(
        context.probe.wait_caught_up(COUNTED_SECONDS), f"nothing was counted {COUNTED_SECONDS:.0f} s after it went on"
    )
    return f"process {pid} stopped for {seconds:.1f} s"


@fault("clickhouse-outage", "a worker's memory reached its budget: it paused reading, and went on afterwards")
def long_outage(context: FaultContext) -> str:
    """ClickHouse is away until memory is full and reading pauses."""
    context.calm()  # whoever waits for the ledger counts nothing, and never gets full
    pauses, resumptions = context.workers.count("pauses"), context.workers.count("resumptions")
    began = time.monotonic()
    with down(context.stack.engines.clickhouse):
        paused = wait_until(lambda: context.workers.count("pauses") > pauses, FULL_SECONDS)
        time.sleep(4 * context.session)
        seconds = time.monotonic() - began
    require_effect(paused, f"no worker paused reading within {FULL_SECONDS:.0f} s")
    resumed = wait_until(lambda: context.workers.count("resumptions") > resumptions, COUNTED_SECONDS)
    require_effect(resumed, "no worker said that reading goes on")
    return f"away for {seconds:.0f} s; {context.workers.count('pauses') - pauses} pauses"


@fault("disk-full", "ClickHouse refused an insert with code 243, NOT_ENOUGH_SPACE, and a flush failed")
def disk_full(context: FaultContext) -> str:
    """ClickHouse has no disk space left for inserts."""
    return _refuse(context, "min_free_disk_bytes_to_perform_insert", EXABYTE, 243)


@fault("too-many-parts", "ClickHouse refused an insert with code 252, TOO_MANY_PARTS, and a flush failed")
def too_many_parts(context: FaultContext) -> str:
    """ClickHouse refuses inserts because merges cannot keep up."""
    return _refuse(context, "parts_to_throw_insert", 1, 252)


@fault("read-only", "ClickHouse refused an insert with code 774, TABLE_IS_READ_ONLY, and a flush failed")
def read_only(context: FaultContext) -> str:
    """A table of ClickHouse is read-only."""
    return _refuse(context, "table_readonly", 1, 774)


def _refuse(context: FaultContext, setting: str, value: int, code: int) -> str:
    """Have ClickHouse refuse inserts into a table with this error code."""
    table, probe, workers = context.rng.choice(TABLES), context.probe, context.workers
    refused, failed = probe.refused(code), workers.count("flushes_failed")
    probe.alter(f"ALTER TABLE {table} MODIFY SETTING {setting} = {value}")
    try:
        happened = wait_until(
            lambda: probe.refused(code) > refused and workers.count("flushes_failed") > failed, REFUSED_SECONDS
        )
        time.sleep(context.session * context.rng.random())
    finally:
        probe.alter(f"ALTER TABLE {table} RESET SETTING {setting}")
    require_effect(happened, f"no insert into {table} was refused with code {code}")
    refused, failed = probe.refused(code) - refused, workers.count("flushes_failed") - failed
    return f"{table}: {refused} inserts refused, {failed} flushes failed"
