"""Faults between the workers and the engines."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pintally.tools.drill.fault_context import FaultContext, fault, require_effect
from pintally.tools.drill.proxy import Mode, Proxy
from pintally.tools.engines.ready import wait_until

NOTICED_SECONDS = 60.0
DELAY_SECONDS = 8.0
LOST_SECONDS = 20.0


@fault("connections-cut", "open connections to Kafka and to ClickHouse were reset")
def cut_connections(context: FaultContext) -> str:
    """Every connection of every worker is reset, several times, also in the middle of an insert."""
    kafka = clickhouse = 0
    for _ in range(100):
        clickhouse += sum(proxy.cut() for proxy in context.clickhouse_proxies)
        time.sleep(0.02)
        if clickhouse > 3:
            break
    for _ in range(3):
        kafka += sum(proxy.cut() for proxy in context.kafka_proxies)
        time.sleep(context.rng.random())
    require_effect(kafka and clickhouse, f"{kafka} connections to Kafka and {clickhouse} to ClickHouse were open")
    return f"{kafka} connections to Kafka and {clickhouse} to ClickHouse reset"


@fault("connections-refused", "workers tried to connect and were turned away")
def refuse_connections(context: FaultContext) -> str:
    """For a while no worker can connect to Kafka or ClickHouse."""
    proxies = context.kafka_proxies + context.clickhouse_proxies
    before = sum(proxy.traffic.refused for proxy in proxies)
    with _failing(proxies, Mode.REFUSE):
        for proxy in proxies:
            proxy.cut()
        time.sleep(context.session)
    refused = sum(proxy.traffic.refused for proxy in proxies) - before
    require_effect(refused, "nobody tried to connect")
    return f"{refused} connections refused in {context.session:.0f} s"


@fault("connections-delayed", "pieces of traffic arrived late")
def delay_connections(context: FaultContext) -> str:
    """All traffic of the workers is slow, in both directions."""
    proxies = context.kafka_proxies + context.clickhouse_proxies
    before = sum(proxy.traffic.delayed for proxy in proxies)
    with _failing(proxies, Mode.DELAY):
        time.sleep(DELAY_SECONDS)
    delayed = sum(proxy.traffic.delayed for proxy in proxies) - before
    require_effect(delayed > 10, f"only {delayed} pieces were delayed")
    return f"{delayed} pieces delayed by {proxies[0].delay_seconds} s each"


@fault("kafka-half-open", "bytes vanished both ways, and the worker noticed that its session had passed")
def half_open_kafka(context: FaultContext) -> str:
    """A worker's connections to Kafka stay open and carry nothing."""
    return _cut_off(context, Mode.BLACKHOLE)


@fault("kafka-answers-dropped", "Kafka's answers vanished, and the worker noticed that its session had passed")
def drop_kafka_answers(context: FaultContext) -> str:
    """What a worker sends reaches Kafka, and no answer comes back."""
    return _cut_off(context, Mode.DROP_RESPONSES)


@fault("clickhouse-half-open", "bytes vanished both ways, and a flush failed")
def half_open_clickhouse(context: FaultContext) -> str:
    """The workers' connections to ClickHouse stay open and carry nothing."""
    proxies, failed = context.clickhouse_proxies, context.workers.count("flushes_failed")
    before = sum(proxy.traffic.blackholed for proxy in proxies)
    with _failing(proxies, Mode.BLACKHOLE):
        time.sleep(2 * context.session)
    blackholed = sum(proxy.traffic.blackholed for proxy in proxies) - before
    require_effect(blackholed, "nobody sent anything")
    require_effect(
        wait_until(lambda: context.workers.count("flushes_failed") > failed, NOTICED_SECONDS), "no flush failed"
    )
    return f"{blackholed} bytes vanished, {context.workers.count('flushes_failed') - failed} flushes failed"


@fault("answers-lost", "inserts were applied, their answers were lost, and the flush failed all the same")
def lose_insert_answers(context: FaultContext) -> str:
    """Inserts reach ClickHouse, only their answers are lost: nobody knows whether they were applied."""
    proxies, failed = context.clickhouse_proxies, context.workers.count("flushes_failed")
    before, ahead = sum(proxy.traffic.responses_lost for proxy in proxies), 0
    end = time.monotonic() + LOST_SECONDS
    with _failing(proxies, Mode.DROP_RESPONSE_AND_RESET):
        while time.monotonic() < end and not (ahead and context.workers.count("flushes_failed") > failed):
            if sum(proxy.traffic.responses_lost for proxy in proxies) > before:
                ahead = max(ahead, context.probe.rows_beyond_ledger())
            time.sleep(0.1)
    lost = sum(proxy.traffic.responses_lost for proxy in proxies) - before
    require_effect(lost, "no insert was answered")
    require_effect(ahead, "no source had rows that the ledger does not vouch for")
    require_effect(
        wait_until(lambda: context.workers.count("flushes_failed") > failed, NOTICED_SECONDS), "no flush failed"
    )
    context.happened["ambiguous_inserts"] += lost
    return f"{lost} answers lost; {ahead} sources had rows ahead of the ledger"


def _cut_off(context: FaultContext, mode: Mode) -> str:
    """One worker's Kafka connections lose bytes past its session."""
    context.calm()
    worker = context.rng.choice(context.workers.steady)
    proxies, expired = list(worker.proxies.kafka), worker.count("sessions_expired")
    before = _gone(proxies)
    seconds = context.session * (1.5 + context.rng.random())
    with _failing(proxies, mode):
        time.sleep(seconds)
    gone = _gone(proxies) - before
    require_effect(gone, "no byte came that could vanish")
    noticed = wait_until(lambda: worker.count("sessions_expired") > expired, NOTICED_SECONDS)
    require_effect(noticed, f"{worker.name} never noticed that its session had passed")
    return f"{worker.name}: {gone} bytes vanished in {seconds:.1f} s, then it ended itself"


def _gone(proxies: list[Proxy]) -> int:
    """Bytes that vanished so far."""
    return sum(proxy.traffic.blackholed + proxy.traffic.responses_dropped for proxy in proxies)


@contextmanager
def _failing(proxies: list[Proxy], mode: Mode) -> Iterator[None]:
    with ExitStack() as ends:
        for proxy in proxies:
            ends.enter_context(proxy.failing(mode))
        yield
