"""A topic that takes another's place: which one's, and what is to be written. Pure; `epoch_starts` carries it out.

A copy with the same offsets is counted on under the UUID that the ledger knows, from the base slice on. Any other one
is a source of its own, which begins at an offset behind what is counted, with the stream time carried over.

Workers on the old topic may still live: epoch starts in its own sources make what they write from now on superseded
(C19).
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
from pintally.streams.operations.change.epoch_starts import Change, apply_change, first_minute, together
from pintally.streams.operations.change.lost import Sums, change_of, trimmed
from pintally.streams.operations.change.rules import epoch_start_at_base

WHY = "replace-topic: counting goes on in another log"
SumsOf = Callable[[Source], Sums]


@dataclass(frozen=True, slots=True)
class Pair:
    """A topic as Kafka has it, and the one as the ledger has it whose place it is to take."""

    topic: TopicInfo
    old_topic: str
    old_id: UUID
    ledgers: Mapping[int, SourceLedger]  # of the old one, by partition; all have begun

    def source(self, partition: int) -> Source:
        """A partition of the new one."""
        return Source(self.topic.name, self.topic.topic_id, partition)

    def old(self, partition: int) -> Source:
        """The same partition of the old one."""
        return Source(self.old_topic, self.old_id, partition)

    def refuse_fewer_partitions(self) -> None:
        """Refuse a topic that lacks a partition that is counted."""
        if max(self.ledgers) >= self.topic.partitions:
            raise Refusal(
                f"topic {self.topic.name} has {self.topic.partitions} partitions, {max(self.ledgers) + 1} are counted",
                "Create it with as many partitions as the old one has, or more.",
            )


@dataclass(frozen=True, slots=True)
class Begin:
    """Where a partition that is no copy with the same offsets begins to be counted. Offsets; stream times in ms."""

    start: int
    collect_start: int  # ids are collected from here on
    collect_stream_time: int
    reached: int  # the stream time at `start`, by the records from `collect_start` on


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be written of one topic."""

    change: Change
    rows: tuple[ReplacedRow, ...]


def carry_out(session: MaintenanceSession, plan: Plan) -> None:
    """Write it. Where it crashed it is planned and carried out again.

    What takes effect at once comes last: a copy is counted only when no worker on the old topic can count any more.
    What takes effect with a start row comes before it.
    """
    at_once = plan.rows[0].how is Replacement.SAME_OFFSETS
    if not at_once:
        session.write_replaced(plan.rows)
    apply_change(session, plan.change)
    if at_once:
        session.write_replaced(plan.rows)


def find_pairs(
    topics: Mapping[str, TopicInfo], ledgers: Mapping[Source, SourceLedger], replaced: Sequence[ReplacedRow]
) -> list[Pair]:
    """The topics of `topics` (as Kafka has them) that are not counted while another one of their kind is.

    Raises Refusal where several could be meant.
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
                f"topic {topic.name} may take the place of several: {names}",
                "Run `pintally accept-loss` where the newest of them is, to give the others up.",
            )
        pairs += [Pair(topic, *name, counted[name]) for name in others]
    return pairs


def plan_same_offsets(
    pair: Pair, ends: Mapping[int, Offsets], epoch: int, sums_of: SumsOf, evidence: str, note: str
) -> Plan:
    """The new topic is the same log. Raises Refusal if it does not hold what must be read, or ends too early."""
    pair.refuse_fewer_partitions()
    if pair.old_topic != pair.topic.name:
        raise Refusal(
            f"topic {pair.topic.name} has another name than {pair.old_topic}, and cannot be counted on under it",
            "Run `pintally replace-topic --copied`: it becomes a source of its own, which begins behind what is "
            "counted.",
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
    """The new topic is another log: its sources begin at `begins`, one a partition of it.

    Of a copy the old counts end with the last slice that was recorded whole, for the copy holds the rest; else they
    stay to the last row that is there.
    """
    pair.refuse_fewer_partitions()
    ends = {at: _end(pair.old(at), ledger, how, epoch, sums_of) for at, ledger in pair.ledgers.items()}
    lowest = min(end.stream_time for end in ends.values())
    rules = follow(next(iter(pair.ledgers.values()))).epoch_start.rules
    rows, starts = [], []
    for at, begin in sorted(begins.items()):
        old_end, stream_time = (ends[at].offset, ends[at].stream_time) if at in ends else (0, lowest)
        # Ids whose stream times cannot be told are as young as they can be: the source's stream time never falls.
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
    ended = trimmed(source, ledger, chain, _read_to(chain.position), epoch, sums_of(source), WHY)
    assert ended.start
    return _End(ended.start.start, chain.stream_time, chain.epoch_start.rules, change_of([ended]))


def _reopen(chain: Chain) -> int | None:
    return first_minute(chain, chain.rules.allowed_lateness_ms, _read_to(chain.position + 1))


def _read_to(offset: int) -> Offsets:
    return Offsets(offset, offset, offset)
