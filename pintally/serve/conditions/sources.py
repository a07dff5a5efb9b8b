"""Sources that are not counted, and why: deleted records, a retention, a transaction, a worker that stands. Pure."""

from collections.abc import Iterator, Sequence

from pintally.serve.conditions.facts import STATUS, Facts, ago, named, records, said, waiting
from pintally.serve.conditions.workers import gone_sources
from pintally.serve.state import Condition, SourceState

FAR_SECONDS = 60.0
NEAR_SECONDS = 6 * 3600.0  # until retention deletes what is not counted
LONGER, LARGER = "retention.ms=1209600000", "retention.bytes=-1"  # as the runbook has them


def deleted(facts: Facts) -> Iterator[Condition]:
    """Retention overtook the counting."""
    gone = [each for each in facts.sources if each.position is not None and each.position < each.log_start]
    if gone:
        lost = records(sum(each.log_start - (each.position or 0) for each in gone))
        sentence = f"Kafka deleted {lost} of {named(gone)} that were not counted: their retention was over."
        yield said("deleted", "wrong", sentence, "pintally accept-loss", "pintallyretentionnear")


def retention(facts: Facts) -> Iterator[Condition]:
    """Retention will overtake the counting."""
    near = [each for each in facts.sources if _is_near(each)]
    if near:
        first = min(near, key=lambda each: each.retention_headroom or 0.0)
        left = first.retention_headroom or 0.0
        when = f"in {ago(left)}" if left >= 1 else "at any moment"
        sentence = f"Kafka deletes uncounted records of {named(near)} {when}. Raise the retention first."
        command = (
            f"kafka-configs.sh --bootstrap-server {facts.kafka} --alter --entity-type topics --entity-name "
            f"{first.topic} --add-config {LARGER if first.limited_by_size else LONGER}"
        )
        yield said("retention", "stopped", sentence, command, "pintallyretentionnear")


def _is_near(source: SourceState) -> bool:
    """As PintallyRetentionNear has it: hours are left, and more than half of the retention is used."""
    left = source.retention_headroom
    return left is not None and left < min(NEAR_SECONDS, source.lag_seconds)


def blocked(facts: Facts) -> Iterator[Condition]:
    """A transaction stays open."""
    if found := facts.of("blocked"):
        since = _since(found)
        sentence = f"A producer opened a transaction in {named(found)} and does not end it: {waiting(found)} behind it."
        yield said("blocked", "stopped", sentence, STATUS, "pintallysourceblocked", since=since,
                   detail="The command prints the line that aborts it, should the producer be gone.")  # fmt: skip


def stalled(facts: Facts) -> Iterator[Condition]:
    """A worker has a source, and nothing happens."""
    gone = gone_sources(facts)
    if found := [each for each in facts.of("stalled") if (each.topic, each.partition) not in gone]:
        sentence = f"{who_stands(found)} {named(found)}: {waiting(found)}."
        detail = "Its log says why. If it says nothing, kill it and start it again."
        if any(each.member is None for each in found):
            detail = "The group gave them to no worker: start one more, or look for another program in the group."
        yield said("stalled", "stopped", sentence, STATUS, "pintallysourcestalled", detail=detail, since=_since(found))


def who_stands(found: Sequence[SourceState]) -> str:
    """Who does not count, as far as it is known."""
    owners = sorted({each.member or "" for each in found})
    if "" in owners:
        return "Nobody counts"
    if len(owners) == 1:
        return f'Worker "{owners[0]}" does not count'
    return f"{len(owners)} workers do not count"


def behind(facts: Facts) -> Iterator[Condition]:
    """Counting goes on, and is late."""
    idle = facts.of("not started")
    far = [each for each in facts.sources if each.lag_seconds > FAR_SECONDS]
    if idle:
        sentence = f"Counting of {named(idle)} has not begun: {waiting(idle)}."
        yield said("not started", "behind", sentence, STATUS, "pintallysourcestalled")
    elif far:
        worst = ago(max(each.lag_seconds for each in far))
        sentence = f"Counting is {worst} behind: {waiting(facts.sources)}, most of {named(far)}."
        yield said("behind", "behind", sentence, STATUS, "pintallyfallsbehind",
                   detail="Workers catch up after an outage. If the lag grows, start more workers.")  # fmt: skip


def _since(sources: Sequence[SourceState]) -> float | None:
    return min((each.stands_since for each in sources if each.stands_since), default=None)
