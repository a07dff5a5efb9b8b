"""Faults of the consumer group: who reads what, and from where."""

import asyncio
import time
from collections.abc import Callable

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions
from kafka.structs import OffsetAndMetadata

from pintally.schemas.actions import Action
from pintally.schemas.errors import KafkaUnavailable
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import committed_offsets, describe_topics, group_members
from pintally.tools.drill.fault_context import FaultContext, fault, require_effect
from pintally.tools.drill.patience import patiently
from pintally.tools.drill.producers import Sent, send_events
from pintally.tools.engines.ready import wait_until

JOINED_SECONDS = 45.0
EMPTY_SECONDS = 45.0
COUNTED_SECONDS = 120.0
EVENTS = 200


@fault("rebalance-storm", "the group gave out its partitions again and again")
def rebalance_storm(context: FaultContext) -> str:
    """A further worker comes and goes, by SIGTERM and by SIGKILL; each time partitions move."""
    extra, before = context.workers.extra, context.workers.count("assignments")
    for visit in range(3):
        extra.start()
        require_effect(wait_until(lambda: extra.ready, JOINED_SECONDS), "the further worker did not start")
        time.sleep(context.rng.random())
        extra.kill() if visit == 1 else extra.stop()
    assigned = context.workers.count("assignments") - before
    require_effect(assigned >= 6, f"only {assigned} assignments")
    return f"{assigned} assignments"


@fault("partitions-added", "the ledger covers the new partition, and its events are counted", most=4)
def add_partition(context: FaultContext) -> str:
    """A source topic gets one more partition while workers run."""
    settings = context.stack.settings
    action = context.rng.choice(list(Action))
    topic = settings.topics.names[action]

    def partitions() -> int:
        return describe_topics(settings.kafka, settings.topics)[topic].partitions

    number = patiently(partitions)

    def add() -> None:
        if partitions() == number:  # else the last try came to something
            with open_admin(settings.kafka) as admin:
                admin.create_partitions({topic: NewPartitions(total_count=number + 1)})

    patiently(add)
    sent, pin = Sent.to(topic, settings.rules), context.rng.getrandbits(40)
    asyncio.run(send_events(settings.kafka.bootstrap_servers, sent, action, pin, EVENTS, [number]))
    context.expected.add(sent.cells, sent.records)
    ends = {(topic, partition): end for partition, end in sent.ends().items()}
    require_effect(context.probe.wait_counted(ends, COUNTED_SECONDS), f"{topic}[{number}] was not counted")
    counted = context.probe.counted(pin)
    require_effect(counted == EVENTS, f"{counted} of {EVENTS} events in {topic}[{number}] are counted")
    return f"{topic}[{number}]: {counted} events counted"


@fault("offsets-reset", "Kafka showed the offsets at 0, and counting went on from the ledger")
def reset_offsets(context: FaultContext) -> str:
    """The group's committed offsets are set to 0 while no worker runs."""

    def reset(admin: KafkaAdminClient, group: str, partitions: list[TopicPartition]) -> None:
        admin.alter_group_offsets(group, {each: OffsetAndMetadata(0, "", -1) for each in partitions})

    return _tamper(context, reset)


@fault("offsets-deleted", "Kafka showed no committed offsets any more, and counting went on from the ledger")
def delete_offsets(context: FaultContext) -> str:
    """The group's committed offsets are deleted while no worker runs."""

    def delete(admin: KafkaAdminClient, group: str, partitions: list[TopicPartition]) -> None:
        admin.delete_group_offsets(group, partitions)

    return _tamper(context, delete)


def _tamper(context: FaultContext, change: Callable[[KafkaAdminClient, str, list[TopicPartition]], None]) -> str:
    settings = context.stack.settings
    for worker in context.workers.all:
        worker.kill()
    try:
        wait_until(lambda: not group_members(settings.kafka), EMPTY_SECONDS, excused=(KafkaUnavailable,))
        before = patiently(lambda: committed_offsets(settings.kafka))
        require_effect(before, "the group had committed nothing")

        def tamper() -> None:
            with open_admin(settings.kafka) as admin:
                change(admin, settings.kafka.group_id, [TopicPartition(*place) for place in before])

        patiently(tamper)
        after = patiently(lambda: committed_offsets(settings.kafka))
    finally:
        for worker in context.workers.steady:
            worker.start()
    require_effect(sum(after.values()) == 0, f"{sum(1 for offset in after.values() if offset)} offsets are as before")
    require_effect(
        context.probe.wait_caught_up(COUNTED_SECONDS), f"nothing was counted {COUNTED_SECONDS:.0f} s after it"
    )
    return f"{len(before)} offsets of {sum(before.values()):,} in all gone; counting went on"
