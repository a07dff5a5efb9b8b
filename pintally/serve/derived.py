"""What follows from a look: the document and the metrics show the same. Pure."""

from pintally.schemas.actions import REPLAY
from pintally.schemas.outcomes import Outcomes, sum_of
from pintally.schemas.sources import Source
from pintally.serve.findings import Look
from pintally.serve.seen import retention_headroom, size_headroom
from pintally.streams.counting.recovery import given_up
from pintally.streams.counting.rules_in_force import InForce, rules_in_force
from pintally.streams.operations.progress import Progress


def is_blocked(progress: Progress) -> bool:
    """Whether all that may be read is counted, and an open transaction is before the rest."""
    ends = progress.ends
    position = progress.log_start if progress.position is None else progress.position
    return position >= ends.last_stable < ends.log_end


def headroom(progress: Progress, look: Look) -> float | None:
    """Seconds until retention may delete what is not counted."""
    topic = look.kafka.topics[progress.source.topic] if look.kafka else None
    if topic is None or "delete" not in topic.cleanup_policy:
        return None
    by_broker = topic.timestamp_type == "LogAppendTime"
    by_time = retention_headroom(
        progress, look.seen[progress.source], topic.retention_ms, by_broker=by_broker, now=look.at
    )
    return min((each for each in (by_time, _by_size(progress, look)) if each is not None), default=None)


def is_limited_by_size(progress: Progress, look: Look) -> bool:
    """Whether it is for the size of its log that retention deletes next what is not counted."""
    by_size = _by_size(progress, look)
    return by_size is not None and by_size == headroom(progress, look)


def _by_size(progress: Progress, look: Look) -> float | None:
    topic = look.kafka.topics[progress.source.topic] if look.kafka else None
    return size_headroom(progress, look.seen[progress.source], topic.retention_bytes, look.at) if topic else None


def holders(look: Look) -> set[Source]:
    """The sources that hold the sealing of hours back most: replays hold none back."""
    clocks = {
        source: -1 if clock is None else clock
        for source, clock in look.clocks.items()
        if not source.topic.endswith(REPLAY)
    }
    lowest = min(clocks.values(), default=None)
    return {source for source, clock in clocks.items() if clock == lowest}


def lost_records(look: Look) -> dict[str, int]:
    """Offsets whose loss was accepted, by topic."""
    topics = look.kafka.topics if look.kafka else ()
    lost = dict.fromkeys(topics, 0)
    for source, ledger in look.clickhouse.ledgers.items() if look.clickhouse else ():
        lost[source.topic] = lost.get(source.topic, 0) + sum(row.end - row.start for row in given_up(ledger))
    return lost


def rules_of(look: Look) -> list[InForce]:
    """Of each source; those of a topic may have different ones while `rules apply` has not done all."""
    return list(rules_in_force(look.clickhouse.ledgers.values() if look.clickhouse else ()))


def outcomes_of(look: Look) -> dict[str, Outcomes]:
    """Outcomes by topic."""
    topics = {each.source.topic for each in look.sources}
    return {
        topic: sum_of(each.outcomes for each in look.sources if each.source.topic == topic) for topic in sorted(topics)
    }
