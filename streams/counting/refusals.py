"""When counting must not go on: what was found, and the command that resolves it. Never a smaller total in silence."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pintally.schemas.actions import kind_of
from pintally.schemas.errors import Refusal
from pintally.schemas.rows import SourceLedger
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.counting.recovery import Chain, is_half_lost, is_retired
from pintally.streams.counting.slices import Base

NO_TIMESTAMPS = ("0.8", "0.9")  # versions of Kafka whose message format, v0, has none


@dataclass(frozen=True, slots=True)
class TopicFault:
    """One setting of a topic that stands in the way, and how it is changed."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


def topic_faults(topic: TopicInfo, rules: Rules) -> Iterator[TopicFault]:
    """All of one topic that is counted by these rules."""
    if "compact" in topic.cleanup_policy:
        yield TopicFault(
            f"topic {topic.name} has cleanup.policy={topic.cleanup_policy}: compaction removes records that count",
            f"Run `{alter(topic, 'cleanup.policy=delete')}`.",
        )
    if topic.message_format.startswith(NO_TIMESTAMPS):
        yield TopicFault(
            f"topic {topic.name} has message.format.version={topic.message_format}: its records have no timestamp",
            f"Run `{alter(topic, 'message.format.version=0.11.0')}`.",
        )
    skew = rules.max_clock_skew_ms
    if topic.timestamp_type == "CreateTime" and topic.timestamp_after_max_ms > skew:
        yield TopicFault(
            f"topic {topic.name} takes producers' timestamps up to {topic.timestamp_after_max_ms} ms ahead: one wrong "
            "clock would make all that follows late",
            f"Run `{alter(topic, f'message.timestamp.after.max.ms={skew}')}`, or let the broker stamp records: "
            "message.timestamp.type=LogAppendTime.",
        )


def alter(topic: TopicInfo, config: str) -> str:
    """The command that sets a config of the topic."""
    return f"kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {config}"


def refuse_topic(topic: TopicInfo, rules: Rules) -> None:
    """Refuse a topic whose log is not a faithful, bounded record of what was sent."""
    for fault in topic_faults(topic, rules):
        raise Refusal(fault.what, fault.remedy)


def refuse_recreated(source: Source, known: Iterable[Source], retired: Collection[Source] = ()) -> None:
    """Refuse a topic that the ledger does not know while it counts another one of its kind: a copy would count twice.

    The other one was deleted and made again, is in another cluster, or has another prefix.
    """
    own, kind = (source.topic, source.topic_id), kind_of(source.topic)
    names = {(other.topic, other.topic_id) for other in known if other not in retired}
    others = [
        name for name in names - {own} if name[0] == source.topic or (own not in names and kind_of(name[0]) == kind)
    ]
    if not others:
        return
    topic, topic_id = min(others, key=lambda other: (other[0] != source.topic, str(other[1])))
    is_renamed = topic != source.topic
    raise Refusal(
        f"topic {source.topic} has UUID {source.topic_id}, the ledger knows {topic if is_renamed else 'it'} as "
        f"{topic_id}: it was deleted and created again, or is in another cluster, and what the first one held is "
        "counted",
        "Stop all workers. If this topic is a copy of that one, run `pintally replace-topic`; if it holds only records "
        "that were never counted, `pintally replace-topic --new-records`. Both keep the counts, and count nothing "
        "twice. "
        + (
            "If the two topics are unrelated, set another PINTALLY_CLICKHOUSE_DATABASE."
            if is_renamed
            else "With `pintally accept-loss` all records of this topic are counted in addition."
        ),
    )


def refuse_retired(source: Source, ledger: SourceLedger) -> None:
    """Refuse a source that was given up: its topic was thought to be gone, and may live on in another cluster."""
    if is_retired(ledger):
        raise Refusal(
            f"topic {source.topic} of UUID {source.topic_id} was given up by `pintally accept-loss`, and another "
            "topic is counted now",
            "Set PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the cluster that has that topic.",
        )


def refuse_lost_ledger(source: Source, committed: Mapping[tuple[str, int], int]) -> None:
    """Refuse a source that the group has read and the ledger does not know."""
    offset = committed.get((source.topic, source.partition), 0)
    if offset > 0:
        raise Refusal(
            f"the ledger has no row of {source}, but its group has committed offset {offset}: the ledger was lost",
            "Restore ClickHouse's tables, or run `pintally accept-loss` to count the log again.",
        )


def refuse_unknown(
    source: Source, ledgers: Mapping[Source, SourceLedger], committed: Mapping[tuple[str, int], int]
) -> None:
    """Refuse a source without a start row whose topic was made again, or whose ledger was lost."""
    known = [other for other, ledger in ledgers.items() if ledger.starts]
    retired = {other for other, ledger in ledgers.items() if is_retired(ledger)}
    refuse_recreated(source, known, retired)
    kind = kind_of(source.topic)
    if not any(kind_of(other.topic) == kind for other in retired):  # else the group has read the topic before this one
        refuse_lost_ledger(source, committed)


def refuse_rules(source: Source, chain: Chain, rules: Rules) -> None:
    """Refuse rules other than those the source is counted by."""
    if chain.rules != rules:
        raise Refusal(
            f"{source} is counted by rules {chain.rules.fingerprint} {chain.epoch_start.rules}, the settings ask for "
            f"{rules.fingerprint} {rules.to_json()}",
            "Set the PINTALLY_* settings back to the ledger's rules (`pintally rules show`), or stop all workers and "
            "run `pintally rules apply`: the new rules then hold from the unfinished slices on.",
        )


def refuse_log(source: Source, base: Base, counted_to: int, offsets: Offsets) -> None:
    """Refuse a log that no longer holds what must be read, or that ends before what was counted, on any shard."""
    if offsets.log_start > base.collect_start:
        raise Refusal(
            f"{source} must be read from offset {base.collect_start}, its log starts at {offsets.log_start}: retention "
            "overtook the counting",
            "Raise the topic's retention, stop all workers, and run `pintally accept-loss` to accept the loss.",
        )
    if offsets.log_end < counted_to:
        raise Refusal(
            f"{source} ends at offset {offsets.log_end}, the ledger has counted to {counted_to}: the log was "
            "truncated or replaced",
            "Restore the topic; or stop all workers and run `pintally accept-loss` to remove the counts of lost "
            "records.",
        )


def refuse_hole(source: Source, chain: Chain) -> None:
    """Refuse a ledger in which a slice is missing that was counted by earlier rules: no worker has those."""
    if chain.hole is not None:
        raise Refusal(
            f"the ledger of {source} has no row of the slice at offset {chain.hole}, which earlier rules counted "
            f"(the current rules begin at {chain.epoch_start.start})",
            "Run `pintally repair` to recount it.",
        )


def refuse_half_lost(source: Source, ledger: SourceLedger) -> None:
    """Refuse a source that is being given up in part: whatever is counted now would not show."""
    if is_half_lost(ledger):
        raise Refusal(
            f"`pintally accept-loss` was interrupted before counting could continue in {source}",
            "Stop all workers, and run `pintally accept-loss` again.",
        )
