"""When counting must not go on: what was found, and the command that resolves it. Never a smaller total in silence."""

from collections.abc import Collection, Iterable, Mapping

from schemas.errors import PintallyError
from schemas.rules import Rules
from schemas.sources import Source
from sinks.base import SourceLedger
from streams.recovery import Chain, is_half_lost, is_retired
from streams.slices import Base
from streams.topic_faults import topic_faults
from streams.topics import Offsets, TopicInfo


class Refusal(PintallyError):
    """The log, the ledger and the rules do not fit together; a person must decide."""


def refuse_topic(topic: TopicInfo, rules: Rules) -> None:
    """Refuse a topic whose log is not a faithful, bounded record of what was sent."""
    for fault in topic_faults(topic, rules):
        raise Refusal(fault.what, fault.remedy)


def refuse_recreated(source: Source, known: Iterable[Source], retired: Collection[Source] = ()) -> None:
    """Refuse a topic that was deleted and made again under the same name, unless an operator has retired the first."""
    others = {other.topic_id for other in known if other.topic == source.topic and other not in retired}
    if others := others - {source.topic_id}:
        raise Refusal(
            f"topic {source.topic} has UUID {source.topic_id}, the ledger knows it as {min(map(str, others))}: "
            "it was deleted and created again, and what the first one held is counted",
            "Run `pintally accept-loss` to keep those counts, give the deleted topic up and count the new one from its "
            "start.",
        )


def refuse_lost_ledger(source: Source, committed: Mapping[tuple[str, int], int]) -> None:
    """Refuse a source that the group has read and the ledger does not know."""
    offset = committed.get((source.topic, source.partition), 0)
    if offset > 0:
        raise Refusal(
            f"the ledger has no row of {source}, but its group has committed offset {offset}: the ledger was lost",
            "Restore ClickHouse's tables, or run `pintally accept-loss` to count anew what the log still holds.",
        )


def refuse_unknown(
    source: Source, ledgers: Mapping[Source, SourceLedger], committed: Mapping[tuple[str, int], int]
) -> None:
    """Refuse a source without a start row whose topic was made again, or whose ledger was lost."""
    known = [other for other, ledger in ledgers.items() if ledger.starts]
    retired = {other for other, ledger in ledgers.items() if is_retired(ledger)}
    refuse_recreated(source, known, retired)
    if not any(other.topic == source.topic for other in retired):  # else the group has read the topic before this one
        refuse_lost_ledger(source, committed)


def refuse_rules(source: Source, chain: Chain, rules: Rules) -> None:
    """Refuse rules other than those the source is counted by."""
    if chain.rules != rules:
        raise Refusal(
            f"{source} is counted by rules {chain.rules.fingerprint} {chain.boundary.rules}, the settings ask for "
            f"{rules.fingerprint} {rules.to_json()}",
            "Set the PINTALLY_* settings back to the ledger's rules (`pintally rules show`), or stop all workers and "
            "run `pintally rules apply`: the new rules then hold from the unfinished slices on.",
        )


def refuse_log(source: Source, chain: Chain, base: Base, offsets: Offsets) -> None:
    """Refuse a log that no longer holds what must be read, or that ends before what was counted."""
    if offsets.log_start > base.collect_start:
        raise Refusal(
            f"{source} must be read from offset {base.collect_start}, its log starts at {offsets.log_start}: retention "
            "overtook the counting",
            "Raise the topic's retention, stop all workers, and run `pintally accept-loss` to give up what is gone.",
        )
    if offsets.log_end < chain.position:
        raise Refusal(
            f"{source} ends at offset {offsets.log_end}, the ledger has counted to {chain.position}: the log was "
            "truncated or replaced",
            "Restore the topic; or stop all workers and run `pintally accept-loss` to take back the counts of what is "
            "gone.",
        )


def refuse_hole(source: Source, chain: Chain) -> None:
    """Refuse a ledger in which a slice is missing that was counted by earlier rules: no worker has those."""
    if chain.hole is not None:
        raise Refusal(
            f"the ledger of {source} has no row of the slice at offset {chain.hole}, which earlier rules counted "
            f"(those of now begin at {chain.boundary.start})",
            "Run `pintally repair` to fold it again.",
        )


def refuse_half_lost(source: Source, ledger: SourceLedger) -> None:
    """Refuse a source that is being given up in part: whatever is counted now would not show."""
    if is_half_lost(ledger):
        raise Refusal(
            f"`pintally accept-loss` was interrupted before counting could go on in {source}",
            "Stop all workers, and run `pintally accept-loss` again.",
        )
