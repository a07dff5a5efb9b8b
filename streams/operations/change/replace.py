"""Plans the replacement of a topic: which topic it replaces, and what to write. Pure; `epoch_starts` applies it.

A copy with the same offsets continues under the UUID that the ledger knows, from the base slice on. Any other topic
becomes a new source. It begins behind the counted records, and takes over the stream time.

Workers may still run on the old topic. New epoch starts in the sources of the old topic make their later rows
superseded (C19).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from pintally.schemas.actions import kind_of
from pintally.schemas.errors import Refusal
from pintally.schemas.rows import ReplacedRow, Replacement, SourceLedger, StartRow
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.counting.recovery import Chain, follow, is_retired
from pintally.streams.counting.refusals import refuse_half_lost, refuse_hole
from pintally.streams.kafka.known_topics import known_id, taken_by
from pintally.streams.operations.change.epoch_starts import Change, apply_change, first_minute, prepare, together
from pintally.streams.operations.change.lost import Sums, change_of, trimmed
from pintally.streams.operations.change.rules import epoch_start_at_base

WHY = "replace-topic: counting continues in another log"
SumsOf = Callable[[Source], Sums]


@dataclass(frozen=True, slots=True)
class Pair:
    """A topic in Kafka, and the topic in the ledger that it replaces."""

    topic: TopicInfo
    old_topic: str
    old_id: UUID
    ledgers: Mapping[int, SourceLedger]  # of the old topic, by partition; all have a start row

    def source(self, partition: int) -> Source:
        """A partition of the new topic."""
        return Source(self.topic.name, self.topic.topic_id, partition)

    def old(self, partition: int) -> Source:
        """The same partition of the old topic."""
        return Source(self.old_topic, self.old_id, partition)

    def refuse_fewer_partitions(self) -> None:
        """Raise Refusal if the new topic has fewer partitions than are counted."""
        if max(self.ledgers) >= self.topic.partitions:
            raise Refusal(
                f"topic {self.topic.name} has {self.topic.partitions} partitions, {max(self.ledgers) + 1} are counted",
                "Create it with at least as many partitions as the old topic.",
            )


@dataclass(frozen=True, slots=True)
class Begin:
    """Where counting of a partition of a new source begins. Offsets; stream times in ms."""

    start: int
    collect_start: int  # ids are collected from here on
    collect_stream_time: int
    reached: int  # the stream time at `start`, by the records from `collect_start` on


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written for one topic."""

    change: Change
    rows: tuple[ReplacedRow, ...]


def carry_out(session: MaintenanceSession, plan: Plan) -> None:
    """Write the plan. After a crash, plan and carry out again.

    A copy with the same offsets takes effect at once, so it is written last: then no worker on the old topic can count
    any more. Other topics take effect with their start rows, so they are written before.
    """
    prepare(session, plan.change)
    at_once = plan.rows[0].how is Replacement.SAME_OFFSETS
    if not at_once:
        session.write_replaced(plan.rows)
    apply_change(session, plan.change)
    if at_once:
        session.write_replaced(plan.rows)


def find_pairs(
    topics: Mapping[str, TopicInfo], ledgers: Mapping[Source, SourceLedger], replaced: Sequence[ReplacedRow]
) -> list[Pair]:
    """Returns the topics in Kafka that are not counted although another topic of their kind is counted.

    Raises Refusal if a topic could replace several.
    """
    counted: dict[tuple[str, UUID], dict[int, SourceLedger]] = {}
    for source, ledger in ledgers.items():
        if ledger.starts and not is_retired(ledger):
            counted.setdefault((source.topic, source.topic_id), {})[source.partition] = ledger
    pairs = []
    for topic in sorted(topics.values(), key=lambda topic: topic.name):
        is_taken = taken_by(topic, replaced) is not None
        if (topic.name, known_id(topic, replaced)) in counted and not is_taken:
            continue
        others = [name for name in counted if kind_of(name[0]) == kind_of(topic.name)]
        if len(others) > 1:
            names = ", ".join(f"{name} of UUID {topic_id}" for name, topic_id in others)
            raise Refusal(
                f"topic {topic.name} could replace several topics: {names}",
                "Run `pintally accept-loss` in the cluster of the newest of them, to retire the others.",
            )
        pairs += [Pair(topic, *name, counted[name]) for name in others]
    return pairs


def plan_same_offsets(
    pair: Pair, ends: Mapping[int, Offsets], epoch: int, sums_of: SumsOf, evidence: str, note: str
) -> Plan:
    """Plan for a copy with the same offsets. Raises Refusal if it lacks records or ends too early."""
    pair.refuse_fewer_partitions()
    if pair.old_topic != pair.topic.name:
        raise Refusal(
            f"topic {pair.topic.name} has another name than {pair.old_topic}, and cannot continue under it",
            "Run `pintally replace-topic --copied`: it becomes a new source, which begins behind the counted records.",
        )
    changes = [
        epoch_start_at_base(pair.old(at), ledger, ends[at], follow(ledger).rules, epoch, sums_of, WHY)()
        for at, ledger in pair.ledgers.items()
    ]
    positions = {at: follow(ledger).position for at, ledger in pair.ledgers.items()}
    rows = [
        _row(pair, at, Replacement.SAME_OFFSETS, epoch, positions.get(at, 0), (positions.get(at, 0),) * 2, 0)
        for at in range(pair.topic.partitions)
    ]
    return Plan(together(changes), tuple(replace(row, evidence=evidence, note=note) for row in rows))


def plan_other_offsets(
    pair: Pair,
    how: Replacement,
    begins: Mapping[int, Begin],
    epoch: int,
    sums_of: SumsOf,
    evidence: str,
    note: str,
) -> Plan:
    """Plan for another log: its sources begin at `begins`, one for each partition.

    If it is a copy, the old counts end with the last complete slice, because the copy holds the rest. Otherwise all
    existing rows stay.
    """
    pair.refuse_fewer_partitions()
    ends = {at: _end(pair.old(at), ledger, how, epoch, sums_of) for at, ledger in pair.ledgers.items()}
    lowest = min(end.stream_time for end in ends.values())
    rules = follow(next(iter(pair.ledgers.values()))).epoch_start.rules
    rows, starts = [], []
    for at, begin in sorted(begins.items()):
        old_end, stream_time = (ends[at].offset, ends[at].stream_time) if at in ends else (0, lowest)
        # Ids with unknown stream times get the latest possible one, because stream time never falls.
        known = begin.reached >= stream_time
        start_stream_time, collect_stream_time = (
            (begin.reached, begin.collect_stream_time) if known else (stream_time, stream_time)
        )
        if at in ends:
            rules = ends[at].rules
        starts.append(StartRow(pair.source(at), epoch, begin.start, start_stream_time, rules))
        rows.append(_row(pair, at, how, epoch, old_end, (begin.start, begin.collect_start), collect_stream_time))
    changes = [*(end.change for end in ends.values()), Change(tuple(starts))]
    return Plan(together(changes), tuple(replace(row, evidence=evidence, note=note) for row in rows))


def _row(
    pair: Pair, at: int, how: Replacement, epoch: int, old_end: int, places: tuple[int, int], stream_time: int
) -> ReplacedRow:
    return ReplacedRow(pair.source(at), pair.old(at), how, epoch, old_end, *places, stream_time, "", "")


@dataclass(frozen=True, slots=True)
class _End:
    """Where the counts of an old source end."""

    offset: int
    stream_time: int
    rules: str
    change: Change


def _end(source: Source, ledger: SourceLedger, how: Replacement, epoch: int, sums_of: SumsOf) -> _End:
    chain = follow(ledger)
    refuse_hole(source, chain)
    if how is Replacement.COPIED:
        refuse_half_lost(source, ledger)
        start = StartRow(source, epoch, chain.start, chain.start_stream_time, chain.epoch_start.rules)
        return _End(
            chain.start, chain.start_stream_time, chain.epoch_start.rules, Change((start,), reopen_from=_reopen(chain))
        )
    _refuse_lacking(source, ledger)
    ended = trimmed(source, ledger, chain, _read_to(chain.position), epoch, sums_of(source), WHY)
    assert ended.start
    return _End(ended.start.start, chain.stream_time, chain.epoch_start.rules, change_of([ended]))


def _refuse_lacking(source: Source, ledger: SourceLedger) -> None:
    """Refuse to leave a log that some shards have to count further: all existing rows would stay as they are."""
    counted_to = [follow(each).position for each in ledger.of_shards]
    if len(set(counted_to)) > 1:
        words = ", ".join(f"to {position} on shard {number}" for number, position in enumerate(counted_to))
        raise Refusal(
            f"{source} is counted {words}",
            "Start workers on the old topic until all have counted it; or, if it is gone, run `pintally accept-loss`.",
        )


def _reopen(chain: Chain) -> int | None:
    return first_minute(chain, chain.rules.allowed_lateness_ms, _read_to(chain.position + 1))


def _read_to(offset: int) -> Offsets:
    return Offsets(offset, offset, offset)
