"""Faults between the workers and the engines."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pintally.tools.drill.proxy import Door, Mode
from pintally.tools.drill.stage import Stage, bit, fault

NOTICED_SECONDS = 60.0
DELAY_SECONDS = 8.0
LOST_SECONDS = 20.0


@fault("connections-cut", "open connections to Kafka and to ClickHouse were reset")
def cut_connections(stage: Stage) -> str:
    """Every connection of every worker is reset, several times, also in the middle of an insert."""
    kafka = clickhouse = 0
    for _ in range(100):
        clickhouse += sum(door.cut() for door in stage.clickhouse_doors)
        time.sleep(0.02)
        if clickhouse > 3:
            break
    for _ in range(3):
        kafka += sum(door.cut() for door in stage.kafka_doors)
        time.sleep(stage.rng.random())
    bit(kafka and clickhouse, f"{kafka} connections to Kafka and {clickhouse} to ClickHouse were open")
    return f"{kafka} connections to Kafka and {clickhouse} to ClickHouse reset"


@fault("connections-refused", "workers tried to connect and were turned away")
def refuse_connections(stage: Stage) -> str:
    """For a while no worker can connect to Kafka or ClickHouse."""
    doors = stage.kafka_doors + stage.clickhouse_doors
    before = sum(door.traffic.refused for door in doors)
    with _failing(doors, Mode.REFUSE):
        for door in doors:
            door.cut()
        time.sleep(stage.session)
    refused = sum(door.traffic.refused for door in doors) - before
    bit(refused, "nobody tried to connect")
    return f"{refused} connections refused in {stage.session:.0f} s"


@fault("connections-delayed", "pieces of traffic arrived late")
def delay_connections(stage: Stage) -> str:
    """All traffic of the workers is slow, in both directions."""
    doors = stage.kafka_doors + stage.clickhouse_doors
    before = sum(door.traffic.delayed for door in doors)
    with _failing(doors, Mode.DELAY):
        time.sleep(DELAY_SECONDS)
    delayed = sum(door.traffic.delayed for door in doors) - before
    bit(delayed > 10, f"only {delayed} pieces were delayed")
    return f"{delayed} pieces delayed by {doors[0].delay_seconds} s each"


@fault("kafka-half-open", "bytes vanished both ways, and the worker noticed that its session had passed")
def half_open_kafka(stage: Stage) -> str:
    """A worker's connections to Kafka stay open and carry nothing."""
    return _cut_off(stage, Mode.SWALLOW)


@fault("kafka-answers-dropped", "Kafka's answers vanished, and the worker noticed that its session had passed")
def drop_kafka_answers(stage: Stage) -> str:
    """What a worker sends reaches Kafka, and no answer comes back."""
    return _cut_off(stage, Mode.DEAF)


@fault("clickhouse-half-open", "bytes vanished both ways, and a flush was merged back")
def half_open_clickhouse(stage: Stage) -> str:
    """The workers' connections to ClickHouse stay open and carry nothing."""
    doors, merged = stage.clickhouse_doors, stage.tally.count("merge_backs")
    before = sum(door.traffic.swallowed for door in doors)
    with _failing(doors, Mode.SWALLOW):
        time.sleep(2 * stage.session)
    swallowed = sum(door.traffic.swallowed for door in doors) - before
    bit(swallowed, "nobody sent anything")
    bit(stage.tally.wait("merge_backs", merged, NOTICED_SECONDS), "no flush failed")
    return f"{swallowed} bytes vanished, {stage.tally.count('merge_backs') - merged} flushes merged back"


@fault("answers-lost", "inserts were applied, their answers were lost, and the flush was merged back all the same")
def lose_insert_answers(stage: Stage) -> str:
    """Inserts reach ClickHouse, only their answers are lost: nobody knows whether they were applied."""
    doors, merged = stage.clickhouse_doors, stage.tally.count("merge_backs")
    before, ahead = sum(door.traffic.answers_lost for door in doors), 0
    end = time.monotonic() + LOST_SECONDS
    with _failing(doors, Mode.LOSE):
        while time.monotonic() < end and not (ahead and stage.tally.count("merge_backs") > merged):
            if sum(door.traffic.answers_lost for door in doors) > before:
                ahead = max(ahead, stage.probe.unvouched())
            time.sleep(0.1)
    lost = sum(door.traffic.answers_lost for door in doors) - before
    bit(lost, "no insert was answered")
    bit(ahead, "no source had rows that the ledger does not vouch for")
    bit(stage.tally.wait("merge_backs", merged, NOTICED_SECONDS), "no flush was merged back")
    stage.happened["ambiguous_inserts"] += lost
    return f"{lost} answers lost; {ahead} sources had rows ahead of the ledger"


def _cut_off(stage: Stage, mode: Mode) -> str:
    """One worker's Kafka connections lose bytes past its session."""
    stage.calm()
    worker = stage.rng.choice(stage.workers.steady)
    door, expired = worker.entrance.kafka, stage.tally.count("sessions_expired", worker.log)
    before = door.traffic.swallowed + door.traffic.unheard
    seconds = stage.session * (1.5 + stage.rng.random())
    with door.failing(mode):
        time.sleep(seconds)
    gone = door.traffic.swallowed + door.traffic.unheard - before
    bit(gone, "no byte came that could vanish")
    noticed = stage.tally.wait("sessions_expired", expired, NOTICED_SECONDS, worker.log)
    bit(noticed, f"{worker.name} never said that its session had passed")
    return f"{worker.name}: {gone} bytes vanished in {seconds:.1f} s, then it ended itself"


@contextmanager
def _failing(doors: list[Door], mode: Mode) -> Iterator[None]:
    with ExitStack() as ends:
        for door in doors:
            ends.enter_context(door.failing(mode))
        yield
