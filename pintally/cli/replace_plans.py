"""The plan of `pintally replace-topic`: where counting of each topic begins, and what was compared."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pintally.audit.replaced import Copy
from pintally.audit.verify import verify
from pintally.schemas.errors import PintallyError, Refusal
from pintally.schemas.rows import Replacement, SourceLedger
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import follow
from pintally.streams.kafka.topics import describe_topics, read_offsets, sources_of
from pintally.streams.operations.change.copied import refuse_other_counts
from pintally.streams.operations.change.epoch_starts import next_epoch
from pintally.streams.operations.change.places import begin_at, offset_behind, offsets_of, offsets_since
from pintally.streams.operations.change.replace import (
    Begin,
    Pair,
    Plan,
    find_pairs,
    plan_other_offsets,
    plan_same_offsets,
)
from pintally.streams.settings import Settings

Ends = Mapping[int, Offsets]  # of the new topic, by partition
HINT = (
    "If it is a copy with other offsets, use --copied. If its records are new, or new from an offset or a time on, use "
    "--new-records, --from-offset or --from-time. If `pintally verify` reports the same difference in the old cluster, "
    "run `pintally repair` there first."
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say about the new topics. Without options: they are copies with the same offsets."""

    copied: bool = False
    new_records: bool = False
    from_time: datetime | None = None
    from_offset: tuple[str, ...] = ()
    note: str = ""

    @property
    def is_other_log(self) -> bool:
        """Whether the new topics have other offsets. Raises PintallyError if options contradict each other."""
        said = [self.copied, self.new_records, self.from_time is not None, bool(self.from_offset)]
        if sum(said) > 1:
            raise PintallyError(
                "--copied, --new-records, --from-time and --from-offset exclude each other",
                "Give one of them. With --topic, each topic can have its own.",
            )
        return any(said)


def make_plans(
    settings: Settings, sink: Sink, session: MaintenanceSession, asked: Asked, only: Sequence[str]
) -> list[Plan]:
    """Returns one plan for each topic that replaces another. Reads the new topics. Raises Refusal."""
    is_other_log = asked.is_other_log
    topics = describe_topics(settings.kafka, settings.topics)
    if unknown := set(only) - set(topics):
        raise PintallyError(
            f"--topic {', '.join(sorted(unknown))}: no such topic", f"Choose one of {', '.join(topics)}."
        )
    ledgers = session.read_ledgers(list(dict.fromkeys([*sources_of(topics), *sink.known_sources()])))
    pairs = [pair for pair in find_pairs(topics, ledgers, sink.replaced()) if not only or pair.topic.name in only]
    planner = _Planner(settings, session, asked, next_epoch(ledgers.values()))
    if not is_other_log:
        return [planner.same(pair) for pair in pairs]
    for pair in pairs:
        _refuse_begun(pair, ledgers)
    return [planner.copied(pair) if asked.copied else planner.said(pair) for pair in pairs]


def _refuse_begun(pair: Pair, ledgers: Mapping[Source, SourceLedger]) -> None:
    if any(source.topic_id == pair.topic.topic_id and ledger.starts for source, ledger in ledgers.items()):
        raise Refusal(
            f"topic {pair.topic.name} of UUID {pair.topic.topic_id} was counted before, and cannot begin again",
            "Copy it to a new topic, with this name or with another prefix (PINTALLY_TOPIC_PREFIX).",
        )


class _Planner:
    def __init__(self, settings: Settings, session: MaintenanceSession, asked: Asked, epoch: int) -> None:
        self.settings, self.session, self.asked, self.epoch = settings, session, asked, epoch

    def same(self, pair: Pair) -> Plan:
        """Plan for a copy with the same offsets: compare the offsets, then every count."""
        ends = self._ends(pair)
        try:
            plan = plan_same_offsets(pair, ends, self.epoch, self.session.slice_sums, "", self.asked.note)
        except Refusal as refusal:
            raise Refusal(refusal.what, f"{refusal.remedy} {HINT}") from refusal
        copy = Copy(pair.topic.name, pair.topic.topic_id, pair.old_id)
        reports = [verify(each, copies=[copy]) for each in addresses_of(self.settings).of_shards()]
        if wrong := [report.findings for report in reports if report.findings]:
            raise Refusal(
                f"topic {pair.topic.name} is not a copy with the same offsets of the counted topic: "
                f"{sum(sum(each.counts.values()) for each in wrong):,} differences, the first is {wrong[0].shown[0]}",
                HINT,
            )
        words = [f"{reports[0].records:,} records recounted, all counts are the same"]
        reasons = dict.fromkeys(reason for report in reports for reason in report.unverifiable)
        words += [f"not compared: {reason.splitlines()[0]}" for reason in reasons]
        return replace(plan, rows=tuple(replace(row, evidence="; ".join(words)) for row in plan.rows))

    def copied(self, pair: Pair) -> Plan:
        """Plan for a copy with other offsets: its first records must give the same counts as the complete slices."""
        ends, begins, records = self._ends(pair), {}, 0
        action = self.settings.topics.actions[pair.topic.name]
        for at, source in enumerate(map(pair.source, sorted(ends))):
            ledger = pair.ledgers.get(at)
            rows = follow(ledger).complete if ledger else ()
            counted = sum(row.outcomes.total - row.outcomes.gaps for row in rows)
            start = asyncio.run(offset_behind(self.settings.kafka, source, ends[at], counted))
            if ledger and counted:
                old, new = (pair.old(at), ledger), (source, ends[at].log_start, start)
                asyncio.run(refuse_other_counts(self.settings.kafka, self.session, old, new, action))
            begins[at] = self._begin(pair, at, ends[at], start)
            records += counted
        words = f"the first {records:,} records give the same counts as the complete slices of the old topic"
        return self._other(pair, Replacement.COPIED, begins, words)

    def said(self, pair: Pair) -> Plan:
        """Plan for new records, from the place that the options name."""
        ends, asked = self._ends(pair), self.asked
        if asked.new_records:
            starts, words = {at: each.log_start for at, each in ends.items()}, "all its records are new"
        elif asked.from_time is not None:
            starts = offsets_since(self.settings.kafka, pair, ends, asked.from_time)
            words = f"its records are new from Kafka timestamp {asked.from_time.isoformat()} on"
        else:
            starts, words = offsets_of(asked.from_offset, pair, ends), "its records are new from these offsets on"
        begins = {at: self._begin(pair, at, ends[at], start) for at, start in starts.items()}
        return self._other(pair, Replacement.NEW_RECORDS, begins, f"not compared; the operator said: {words}")

    def _ends(self, pair: Pair) -> Ends:
        pair.refuse_fewer_partitions()
        sources = [pair.source(at) for at in range(pair.topic.partitions)]
        return {source.partition: offsets for source, offsets in read_offsets(self.settings.kafka, sources).items()}

    def _begin(self, pair: Pair, at: int, ends: Offsets, start: int) -> Begin:
        rules = follow(pair.ledgers[min(pair.ledgers)]).rules
        return asyncio.run(begin_at(self.settings.kafka, pair.source(at), ends, start, rules.slice_records))

    def _other(self, pair: Pair, how: Replacement, begins: Mapping[int, Begin], evidence: str) -> Plan:
        sums_of, note = self.session.slice_sums, self.asked.note
        return plan_other_offsets(pair, how, begins, self.epoch, sums_of, evidence, note)
