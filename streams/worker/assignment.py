"""What is read when sources are assigned: the ledger, the ends of the log, and whether they still fit (C12 to C16)."""

from collections.abc import Iterable
from dataclasses import dataclass

from pintally.schemas.rows import SourceLedger, StartRow
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink, SinkSession
from pintally.sinks.claims import NO_ROWS, claim
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import Chain, base_of, cut_base, follow
from pintally.streams.counting.refusals import (
    refuse_half_lost,
    refuse_hole,
    refuse_log,
    refuse_retired,
    refuse_rules,
    refuse_topic,
    refuse_unknown,
)
from pintally.streams.counting.shards import reached
from pintally.streams.counting.slices import Base
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.kafka.topics import committed_offsets, describe_topics, read_offsets
from pintally.streams.settings import KafkaSettings, RulesSettings, TopicSettings


@dataclass(frozen=True, slots=True)
class Assigned:
    """One source as it stands in the log and the ledger at the moment of its assignment."""

    source: Source
    chain: Chain
    base: Base
    log_start: int

    @property
    def flushed_again(self) -> int:
        """Offsets that are flushed and are folded again if the state of the source is not kept."""
        return max(0, self.chain.position - self.base.collect_start)


def look_up(
    kafka: KafkaSettings, asked: TopicSettings, rules: RulesSettings, sink: Sink, partitions: Iterable[tuple[str, int]]
) -> list[Assigned]:
    """Read all that decides where the fold of each (topic, partition) begins. Blocking.

    A source without a start row gets one, read back before it is used. Raises Refusal where the log, the ledger
    and the rules do not fit together, SinkUnavailable while the sink does not answer.
    """
    topics = as_known(describe_topics(kafka, asked), sink.replaced())
    sources = [Source(topic, topics[topic].topic_id, partition) for topic, partition in sorted(partitions)]
    for topic in topics.values():
        refuse_topic(topic, rules.in_topic(topic.name))
    with sink.session() as session:
        ledgers = session.read_ledgers(sources)
        if unknown := [source for source in sources if not ledgers[source].starts]:
            _write_starts(kafka, rules, session, sink, unknown)
            ledgers = {**ledgers, **session.read_ledgers(unknown)}
    # After the ledger: whoever counts meanwhile must not make a log that grows look truncated.
    offsets = read_offsets(kafka, sources)
    return [_assigned(rules, source, ledgers[source], offsets[source]) for source in sources]


def _write_starts(
    kafka: KafkaSettings, rules: RulesSettings, session: SinkSession, sink: Sink, sources: list[Source]
) -> None:
    """Begin the sources that no worker has begun, under the highest epoch in the ledger.

    The ledger is read again, after the group's offsets, which follow it: another worker may have begun since. And once
    for all, so that the sources that are missing and the epoch are of one moment.
    """
    committed = committed_offsets(kafka)
    known = list(sink.known_sources())
    every = list(dict.fromkeys([*known, *sources]))
    ledgers = session.read_ledgers(every, dict.fromkeys(every, NO_ROWS))  # slices decide nothing here
    unknown = [source for source in sources if not ledgers[source].starts]
    for source in unknown:
        refuse_unknown(source, ledgers, committed)
    offsets = read_offsets(kafka, unknown)
    epoch = max((start.epoch for ledger in ledgers.values() for start in ledger.starts), default=0)
    epoch = max([epoch, *(ledgers[source].disputed + 1 for source in unknown)])
    starts = [
        StartRow(source, epoch, offsets[source].log_start, 0, rules.in_topic(source.topic).to_json())
        for source in unknown
    ]
    claim(session, starts)
    session.write_starts(starts)


def _assigned(rules: RulesSettings, source: Source, ledger: SourceLedger, offsets: Offsets) -> Assigned:
    chain = follow(ledger)
    base = base_of(chain)
    refuse_rules(source, chain, rules.in_topic(source.topic))
    refuse_retired(source, ledger)
    refuse_half_lost(source, ledger)
    refuse_hole(source, chain)
    if base.collect_start < offsets.log_start <= chain.position:
        base = cut_base(chain)
    refuse_log(source, base, reached(ledger), offsets)
    return Assigned(source, chain, base, offsets.log_start)
