"""Faults of those who write to the topics."""

import asyncio

from pintally.schemas.actions import Action
from pintally.streams.kafka.topics import describe_topics
from pintally.tools.drill.patience import patiently
from pintally.tools.drill.producers import (
    Sent,
    default_partition,
    send_events,
    send_hostile,
    send_late,
    send_transactions,
)
from pintally.tools.drill.stage import Stage, bit, fault

COUNTED_SECONDS = 180.0
DUPLICATED, MISPLACED, LATE, ROUNDS = 300, 300, 3_000, 4


@fault("aborted-transactions", "no aborted record is counted, every committed one is", lane="producers")
def abort_transactions(stage: Stage) -> str:
    """A transactional producer commits and aborts by turns."""
    action, sent, partitions = _topic(stage)
    pins = (stage.rng.getrandbits(40), stage.rng.getrandbits(40))
    gaps = stage.probe.events()["gaps"]
    aborted = asyncio.run(
        send_transactions(stage.stack.settings.kafka.bootstrap_servers, sent, action, pins, ROUNDS, partitions)
    )
    _wait(stage, sent)
    gone = stage.probe.events()["gaps"] - gaps
    counted = (stage.probe.counted(pins[0]), stage.probe.counted(pins[1]))
    bit(counted == (50 * ROUNDS, 0), f"{counted[0]} committed and {counted[1]} aborted records are counted")
    bit(gone >= aborted, f"{aborted} records were aborted, the ledger has {gone} absent offsets more")
    return f"{aborted} records aborted, none counted; {counted[0]} committed, all counted"


@fault("duplicated-sends", "the ledger shows the duplicates, and each event is counted once", lane="producers")
def send_twice(stage: Stage) -> str:
    """A producer sends each event three times."""
    action, sent, partitions = _topic(stage)
    pin, before = stage.rng.getrandbits(40), stage.probe.events()["duplicate"]
    home = [default_partition(str(pin).encode(), partitions)]
    asyncio.run(
        send_events(stage.stack.settings.kafka.bootstrap_servers, sent, action, pin, DUPLICATED, home, repeat=3)
    )
    _wait(stage, sent)
    duplicates, counted = stage.probe.events()["duplicate"] - before, stage.probe.counted(pin)
    bit(counted == DUPLICATED, f"{counted} counted of {DUPLICATED} events that were sent three times")
    bit(duplicates >= 2 * DUPLICATED, f"the ledger has {duplicates} duplicates more")
    return f"{sent.records} sends of {counted} events, counted once each"


@fault("wrong-partitioner", "records lay where their key does not belong, and each is counted", lane="producers")
def partition_wrongly(stage: Stage) -> str:
    """A producer's partitioner puts records of one key into every partition."""
    action, sent, partitions = _topic(stage)
    pin = stage.rng.getrandbits(40)
    everywhere = list(range(partitions))
    asyncio.run(send_events(stage.stack.settings.kafka.bootstrap_servers, sent, action, pin, MISPLACED, everywhere))
    _wait(stage, sent)
    home = default_partition(str(pin).encode(), partitions)
    astray, counted = sum(1 for partition, _ in sent.places if partition != home), stage.probe.counted(pin)
    bit(astray, "every record lay where its key belongs")
    bit(counted == MISPLACED, f"{counted} of {MISPLACED} records are counted")
    return f"{astray} of {MISPLACED} records in other partitions than their key's, all counted"


@fault("hostile-records", "each of them is a dead letter with its reason", lane="producers")
def send_rubbish(stage: Stage) -> str:
    """Broken, huge, deeply nested, binary and empty records."""
    action, sent, partitions = _topic(stage)
    settings = stage.stack.settings
    seed = stage.rng.getrandbits(30)
    asyncio.run(
        send_hostile(settings.kafka.bootstrap_servers, sent, action, partitions, settings.rules.to_rules(), seed)
    )
    _wait(stage, sent)
    buried = stage.probe.buried(sent, "invalid")
    bit(buried == sent.records, f"{buried} of {sent.records} records are dead letters")
    return f"{buried} records, each a dead letter"


@fault("late-flood", "each of them is a dead letter with outcome late", lane="producers")
def flood_late(stage: Stage) -> str:
    """A flood of events from before the allowed lateness."""
    action, sent, partitions = _topic(stage)
    settings = stage.stack.settings
    asyncio.run(send_late(settings.kafka.bootstrap_servers, sent, action, LATE, partitions, settings.rules.to_rules()))
    _wait(stage, sent)
    buried = stage.probe.buried(sent, "late")
    bit(buried == sent.records, f"{buried} of {sent.records} records are late")
    return f"{buried} late records, each a dead letter"


def _topic(stage: Stage) -> tuple[Action, Sent, int]:
    """Some source topic, and how many partitions it has now."""
    action = stage.rng.choice(list(Action))
    topic = stage.stack.settings.topics.names[action]
    return action, Sent(topic), patiently(lambda: describe_topics(stage.stack.settings))[topic].partitions


def _wait(stage: Stage, sent: Sent) -> None:
    """Until the ledger covers all that was sent; it belongs to the truth from then on."""
    stage.expected.add(sent.cells, sent.records)
    ends = {(sent.topic, partition): end for partition, end in sent.ends().items()}
    bit(stage.probe.wait_counted(ends, COUNTED_SECONDS), f"not counted within {COUNTED_SECONDS:.0f} s")
