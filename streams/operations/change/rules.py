"""Plans a change of rules (C18): where it takes effect. Pure; `epoch_starts` applies the plan."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from pintally.schemas.errors import Refusal
from pintally.schemas.rows import SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import Chain, base_of, follow
from pintally.streams.counting.refusals import refuse_half_lost, refuse_hole, refuse_log, refuse_unknown
from pintally.streams.counting.shards import reached
from pintally.streams.operations.change.epoch_starts import Change, first_minute, next_epoch, together
from pintally.streams.operations.change.lost import Sums, change_of, trimmed

NOTHING_LOST = "rules apply: the slice before was counted to its end; the log no longer holds it"


def plan_rules(
    rules_of: Callable[[str], Rules],
    ledgers: Mapping[Source, SourceLedger],
    offsets: Mapping[Source, Offsets],
    committed: Mapping[tuple[str, int], int],
    sums_of: Callable[[Source], Sums],
) -> Change:
    """Returns the change that gives each source the rules of `rules_of(topic)`, from its base slice on.

    `offsets` has every partition that Kafka lists; `ledgers` has these and all other sources in the ledger; `committed`
    has the committed offsets of the group; `sums_of` adds up the cells of a source, slice by slice.

    A source that already has the rules does not change. A source without a start row gets one at the start of its log.
    If retention deleted the base slice and everything is counted, the new rules hold from the position on, after an
    empty lost range. Raises Refusal if a log and its ledger do not fit, or if block numbers would repeat.
    """
    epoch = next_epoch(ledgers.values())
    changes: list[Change] = []
    for source, ends in offsets.items():
        rules, ledger = rules_of(source.topic), ledgers[source]
        if not ledger.starts:
            refuse_unknown(source, ledgers, committed)
            changes.append(Change((StartRow(source, epoch, ends.log_start, 0, rules.to_json()),)))
            continue
        change = epoch_start_at_base(source, ledger, ends, rules, epoch, sums_of)
        if (chain := follow(ledger)).rules != rules:
            _refuse_larger_slices(source, chain, rules)
            changes.append(change())
    return together(changes)


def epoch_start_at_base(
    source: Source,
    ledger: SourceLedger,
    ends: Offsets,
    rules: Rules,
    epoch: int,
    sums_of: Callable[[Source], Sums],
    why: str = NOTHING_LOST,
) -> Callable[[], Change]:
    """Returns a function that plans an epoch start at the source's base. Raises Refusal if log and ledger do not fit.

    If retention deleted the base slice and everything is counted, the epoch start is at the position, after an empty
    lost range.
    """
    chain = follow(ledger)
    refuse_hole(source, chain)
    counted_to = reached(ledger)
    is_cut = base_of(chain).collect_start < ends.log_start <= chain.position == counted_to == ends.log_end
    if not is_cut:
        refuse_half_lost(source, ledger)
        refuse_log(source, base_of(chain), counted_to, ends)

    def plan() -> Change:
        if is_cut:
            empty = trimmed(source, ledger, chain, ends, epoch, sums_of(source), why)
            assert empty.start
            return change_of([replace(empty, start=replace(empty.start, rules=rules.to_json()))])
        lateness = max(rules.allowed_lateness_ms, chain.rules.allowed_lateness_ms)
        start = StartRow(source, epoch, chain.start, chain.start_stream_time, rules.to_json())
        return Change((start,), reopen_from=first_minute(chain, lateness, ends))

    return plan


def _refuse_larger_slices(source: Source, chain: Chain, rules: Rules) -> None:
    """Block numbers would repeat (C5)."""
    if rules.slice_records > chain.rules.slice_records:
        raise Refusal(
            f"PINTALLY_SLICE_RECORDS={rules.slice_records} is larger than {chain.rules.slice_records}, the value of "
            f"{source}: new blocks would get the numbers of earlier ones",
            f"Set PINTALLY_SLICE_RECORDS={chain.rules.slice_records} or less.",
        )
