"""Faults of a Kafka of three brokers: one is lost, all restart in turn, leaders move, followers are away."""

import asyncio
import time
from collections.abc import Callable

from kafka import TopicPartition
from kafka.errors import NotEnoughReplicasAfterAppendError, NotEnoughReplicasError

from pintally.schemas.actions import Action, dead_letter_topic
from pintally.schemas.errors import PintallyError
from pintally.tools.drill.fault_context import FaultContext, fault, require_effect
from pintally.tools.drill.faults.engines import BACK_SECONDS, COUNTED_SECONDS, down
from pintally.tools.drill.leaders import (
    GROUPS,
    Placement,
    coordinator,
    place,
    placements,
    prefer,
    refusal,
    rotated,
)
from pintally.tools.drill.patience import patiently
from pintally.tools.drill.producers import Sent, send_broken
from pintally.tools.engines.ready import wait_until

BROKERS = 3
MOVED_SECONDS = 60.0
ELECTED_SECONDS = 60.0
REFUSED = (NotEnoughReplicasError, NotEnoughReplicasAfterAppendError)
LETTERS = 20
NOBODYS_LETTER = b"sent by the drill"  # no letter of ours: readers of dead letters pass over it
FAILED_SECONDS = 60.0
LOOK_SECONDS = 0.3


@fault("broker-lost", "another broker coordinated, and the ledger went on while it was away", brokers=BROKERS)
def lose_broker(context: FaultContext) -> str:
    """kill -9 of the broker that coordinates the workers; it stays away until they have counted on."""
    kafka = context.stack.settings.kafka
    lost = patiently(lambda: coordinator(kafka))
    led = sum(each.leader == lost for each in _placed(context).values())
    require_effect(lost > 0, "no broker coordinated")
    with down(context.stack.engines.brokers[lost - 1]) as pid:
        _require(lambda: coordinator(kafka) not in (lost, -1), ELECTED_SECONDS, f"nobody took over from broker {lost}")
        heir = patiently(lambda: coordinator(kafka))
        counted = _counted_on(context)
    _wait_whole(context)
    gone = f"broker {lost} (process {pid}, leader of {led} partitions) lost"
    return f"{gone}; broker {heir} took over, {counted:,} counted meanwhile"


@fault("brokers-restarted", "each is another process now, and the ledger went on", brokers=BROKERS)
def restart_brokers(context: FaultContext) -> str:
    """All brokers are stopped and started, one after the other, as for an upgrade."""
    brokers = context.stack.engines.brokers
    before, counted = [broker.pid for broker in brokers], 0
    for broker in brokers:
        broker.stop()
        broker.start()
        broker.wait_ready(BACK_SECONDS)
        counted += _counted_on(context)
        _wait_whole(context)
    after = [broker.pid for broker in brokers]
    require_effect(not set(before) & set(after), f"processes {before} became {after}")
    return f"processes {before} became {after}; {counted:,} counted meanwhile"


@fault("leaders-moved", "another broker leads each partition, and the ledger went on", brokers=BROKERS)
def move_leaders(context: FaultContext) -> str:
    """Every partition, also that of the groups, gets another leader."""
    kafka, before = context.stack.settings.kafka, _placed(context)
    wanted = rotated(before)
    patiently(lambda: place(kafka, wanted))
    _wait_whole(context)
    patiently(lambda: prefer(kafka, wanted))

    def moved() -> int:
        return sum(each.leader == wanted[at][0] != before[at].leader for at, each in _placed(context).items())

    _require(lambda: moved() == len(wanted), MOVED_SECONDS, "some leaders did not move")
    return f"{len(wanted)} leaders moved, {_counted_on(context):,} counted since"


@fault("followers-away", "acks=all was refused, letters waited, and all were counted later", brokers=BROKERS)
def lose_followers(context: FaultContext) -> str:
    """The followers of one partition of dead letters are away: too few replicas have what is written."""
    settings = context.stack.settings
    topic = settings.topics.names[context.rng.choice(list(Action))]
    at = TopicPartition(dead_letter_topic(topic), context.rng.randrange(settings.topics.partitions))
    here = patiently(lambda: coordinator(settings.kafka))
    leader, follower = context.rng.sample([broker for broker in range(1, BROKERS + 1) if broker != here], 2)
    try:
        _place(context, at, (leader, follower))
        refused, sent = _let_letters_wait(context, topic, at, leader, follower)
    finally:
        _place(context, at, (leader, follower, here))
    ends = {(sent.topic, partition): end for partition, end in sent.ends().items()}
    require_effect(context.probe.wait_counted(ends, COUNTED_SECONDS), "the letters were not counted")
    letters = context.probe.dead_letter_count(sent, "invalid")
    require_effect(letters == LETTERS, f"{letters} of {LETTERS} letters are in the table")
    return f"{at.topic}[{at.partition}] on broker {leader} alone: {refused}; {letters} letters waited"


def _let_letters_wait(
    context: FaultContext, topic: str, at: TopicPartition, leader: int, follower: int
) -> tuple[str, Sent]:
    """What Kafka refuses writers with while the follower is away, and records whose letters cannot be written then."""
    settings, failed = context.stack.settings, context.workers.count("flushes_failed")
    sent = Sent.to(topic, settings.rules)
    with down(context.stack.engines.brokers[follower - 1]):
        _require(lambda: _of(context, at).in_sync == {leader}, MOVED_SECONDS, f"broker {follower} is not given up")
        refused = refusal(settings.kafka, at, NOBODYS_LETTER)
        require_effect(isinstance(refused, REFUSED), f"a record with acks=all came to {refused!r}")
        asyncio.run(send_broken(settings.kafka.bootstrap_servers, sent, at.partition, LETTERS))
        context.expected.add(sent.cells, sent.records)
        _require(lambda: context.workers.count("flushes_failed") > failed, FAILED_SECONDS, "no flush failed")
    return type(refused).__name__, sent


def _placed(context: FaultContext) -> dict[TopicPartition, Placement]:
    """Where all partitions lie that workers read or write."""
    settings = context.stack.settings
    names = [*settings.topics.actions, *map(dead_letter_topic, settings.topics.names.values()), GROUPS.topic]
    return patiently(lambda: placements(settings.kafka, names))


def _of(context: FaultContext, at: TopicPartition) -> Placement:
    return placements(context.stack.settings.kafka, [at.topic])[at]


def _place(context: FaultContext, at: TopicPartition, brokers: tuple[int, ...]) -> None:
    """The partition lies on these brokers, in sync."""
    patiently(lambda: place(context.stack.settings.kafka, {at: brokers}))

    def done() -> bool:
        placed = _of(context, at)
        return placed.replicas == brokers and placed.whole

    _require(done, MOVED_SECONDS, f"{at.topic}[{at.partition}] did not move to brokers {brokers}")


def _wait_whole(context: FaultContext) -> None:
    """Every replica has what its leader has: before that, no other broker may be taken away."""
    _require(lambda: all(each.whole for each in _placed(context).values()), BACK_SECONDS, "a replica stayed behind")


def _counted_on(context: FaultContext) -> int:
    """How many offsets the ledger has more, once it has all that is in the log now."""
    before = sum(patiently(context.probe.positions).values())
    time.sleep(LOOK_SECONDS)
    require_effect(
        context.probe.wait_caught_up(COUNTED_SECONDS),
        f"not counted within {COUNTED_SECONDS:.0f} s by those that are left",
    )
    counted = sum(patiently(context.probe.positions).values()) - before
    require_effect(counted > 0, "nothing was counted meanwhile")
    return counted


def _require(holds: Callable[[], object], seconds: float, otherwise: str) -> None:
    """Wait until it holds. Raises NoEffect with the reason `otherwise`."""
    require_effect(wait_until(holds, seconds, excused=(PintallyError,), pause_s=LOOK_SECONDS), otherwise)
