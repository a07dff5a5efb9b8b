"""Faults of those who write to the topics."""

import asyncio
from collections import Counter

from pintally.schemas.actions import Action
from pintally.streams.kafka.topics import describe_topics
from pintally.tools.drill.fault_context import FaultContext, fault, require_effect
from pintally.tools.drill.patience import patiently
from pintally.tools.drill.producers import (
    ODD_LABELS,
    Sent,
    default_partition,
    send_events,
    send_hostile,
    send_late,
    send_transactions,
)

COUNTED_SECONDS = 180.0
DUPLICATED, MISPLACED, HAMMERED, LATE, ROUNDS = 300, 300, 300, 3_000, 4


@fault("aborted-transactions", "no aborted record is counted, every committed one is", group="producers")
def abort_transactions(context: FaultContext) -> str:
    """A transactional producer commits and aborts by turns."""
    action, sent, partitions = _topic(context)
    pins = (context.rng.getrandbits(40), context.rng.getrandbits(40))
    gaps = context.probe.events()["gaps"]
    aborted = asyncio.run(
        send_transactions(context.stack.settings.kafka.bootstrap_servers, sent, action, pins, ROUNDS, partitions)
    )
    _wait(context, sent)
    gone = context.probe.events()["gaps"] - gaps
    counted = (context.probe.counted(pins[0]), context.probe.counted(pins[1]))
    require_effect(counted == (50 * ROUNDS, 0), f"{counted[0]} committed and {counted[1]} aborted records are counted")
    require_effect(gone >= aborted, f"{aborted} records were aborted, the ledger has {gone} absent offsets more")
    return f"{aborted} records aborted, none counted; {counted[0]} committed, all counted"


@fault("duplicated-sends", "the ledger shows the duplicates, and each event is counted once", group="producers")
def send_twice(context: FaultContext) -> str:
    """A producer sends each event three times."""
    action, sent, partitions = _topic(context)
    pin, before = context.rng.getrandbits(40), context.probe.events()["duplicate"]
    home = [default_partition(str(pin).encode(), partitions)]
    asyncio.run(
        send_events(context.stack.settings.kafka.bootstrap_servers, sent, action, pin, DUPLICATED, home, repeat=3)
    )
    _wait(context, sent)
    duplicates, counted = context.probe.events()["duplicate"] - before, context.probe.counted(pin)
    require_effect(counted == DUPLICATED, f"{counted} counted of {DUPLICATED} events that were sent three times")
    require_effect(duplicates >= 2 * DUPLICATED, f"the ledger has {duplicates} duplicates more")
    return f"{sent.records} sends of {counted} events, counted once each"


@fault("hammered-pin", "each event counts under its label, and hardly one is trusted", group="producers")
def hammer(context: FaultContext) -> str:
    """A program acts on one pin all the time, on surfaces and platforms with odd names."""
    action, sent, partitions = _topic(context)
    pin, cap = context.rng.getrandbits(40), context.stack.settings.rules.to_rules().trusted_cap
    home = [default_partition(str(pin).encode(), partitions)]
    kafka = context.stack.settings.kafka.bootstrap_servers
    asyncio.run(send_events(kafka, sent, action, pin, HAMMERED, home, labels=ODD_LABELS))
    _wait(context, sent)
    expected: Counter[tuple[str, str]] = Counter()
    for cell, events in sent.cells.items():
        expected[cell.surface, cell.platform] += events
    found, slices = context.probe.by_label(pin), context.probe.slices_of(pin)
    trusted = sum(counts.trusted for counts in found.values())
    counted = {labels: counts.events for labels, counts in found.items()}
    require_effect(counted == expected, f"of {len(expected)} labels {counted} are counted, not {dict(expected)}")
    most = cap * slices
    require_effect(
        0 < trusted <= most, f"{trusted} events are trusted in {slices} slices, at most {cap} can be in each"
    )
    return f"{HAMMERED} events of one user on {len(counted)} labels counted, {trusted} of them trusted"


@fault("wrong-partitioner", "records lay where their key does not belong, and each is counted", group="producers")
def partition_wrongly(context: FaultContext) -> str:
    """A producer's partitioner puts records of one key into every partition."""
    action, sent, partitions = _topic(context)
    pin = context.rng.getrandbits(40)
    everywhere = list(range(partitions))
    asyncio.run(send_events(context.stack.settings.kafka.bootstrap_servers, sent, action, pin, MISPLACED, everywhere))
    _wait(context, sent)
    home = default_partition(str(pin).encode(), partitions)
    astray, counted = sum(1 for partition, _ in sent.places if partition != home), context.probe.counted(pin)
    require_effect(astray, "every record lay where its key belongs")
    require_effect(counted == MISPLACED, f"{counted} of {MISPLACED} records are counted")
    return f"{astray} of {MISPLACED} records in other partitions than their key's, all counted"


@fault("hostile-records", "each of them is a dead letter with its reason", group="producers")
def send_rubbish(context: FaultContext) -> str:
    """Broken, huge, deeply nested, binary and empty records."""
    action, sent, partitions = _topic(context)
    settings = context.stack.settings
    seed = context.rng.getrandbits(30)
    asyncio.run(
        send_hostile(settings.kafka.bootstrap_servers, sent, action, partitions, settings.rules.to_rules(), seed)
    )
    _wait(context, sent)
    dead_letter_count = context.probe.dead_letter_count(sent, "invalid")
    require_effect(dead_letter_count == sent.records, f"{dead_letter_count} of {sent.records} records are dead letters")
    return f"{dead_letter_count} records, each a dead letter"


@fault("late-flood", "each of them is a dead letter with outcome late", group="producers")
def flood_late(context: FaultContext) -> str:
    """A flood of events from before the allowed lateness."""
    action, sent, partitions = _topic(context)
    settings = context.stack.settings
    asyncio.run(send_late(settings.kafka.bootstrap_servers, sent, action, LATE, partitions, settings.rules.to_rules()))
    _wait(context, sent)
    dead_letter_count = context.probe.dead_letter_count(sent, "late")
    require_effect(dead_letter_count == sent.records, f"{dead_letter_count} of {sent.records} records are late")
    return f"{dead_letter_count} late records, each a dead letter"


def _topic(context: FaultContext) -> tuple[Action, Sent, int]:
    """Some source topic, and how many partitions it has now."""
    action, settings = context.rng.choice(list(Action)), context.stack.settings
    topic = settings.topics.names[action]
    topics = patiently(lambda: describe_topics(settings.kafka, settings.topics))
    return action, Sent.to(topic, settings.rules), topics[topic].partitions


def _wait(context: FaultContext, sent: Sent) -> None:
    """Until the ledger covers all that was sent; it belongs to the truth from then on."""
    context.expected.add(sent.cells, sent.records)
    ends = {(sent.topic, partition): end for partition, end in sent.ends().items()}
    require_effect(context.probe.wait_counted(ends, COUNTED_SECONDS), f"not counted within {COUNTED_SECONDS:.0f} s")
