"""What the ledgers of several servers that share the pins say together. Pure (C35)."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pintally.schemas.rows import LedgerRow, LostKind, LostRow, SourceLedger
from pintally.streams.counting.recovery import follow, is_superseded


def furthest_behind(ledgers: Sequence[SourceLedger]) -> SourceLedger:
    """Of the ledgers of one source, one a shard, the one that is flushed least far, beside all of them.

    What a shard further on has of the same slices is the same, and is written to it once more.
    """
    each = _with_own_damage(ledgers)
    return replace(min(each, key=_flushed), of_shards=each)


def _with_own_damage(ledgers: Sequence[SourceLedger]) -> tuple[SourceLedger, ...]:
    """The ledgers, without damage of slices whose row another shard has: counting must not pass it without that row,
    which says where ids are collected."""
    starts = [{row.start for row in ledger.rows if not is_superseded(row, ledger)} for ledger in ledgers]
    known = set[int]().union(*starts)

    def is_own(row: LostRow, own: set[int]) -> bool:
        return row.kind is not LostKind.DAMAGED or row.start in own or row.start not in known

    return tuple(
        replace(ledger, lost=tuple(row for row in ledger.lost if is_own(row, own)))
        for ledger, own in zip(ledgers, starts, strict=True)
    )


def _flushed(ledger: SourceLedger) -> tuple[int, int, int, int]:
    if not ledger.starts:
        return (-1, 0, 0, 0)
    chain = follow(ledger)
    epoch = chain.epoch_start.epoch if chain.hole is None else -1
    return (epoch, chain.start, chain.position, chain.version or 0)


def whole(ledger: SourceLedger) -> SourceLedger:
    """All that any shard has counted, as one ledger: of each slice the row with the highest version.

    A slice and its outcomes are a function of the log and the rules, and equal on all shards. Of one server its ledger.
    """
    if not ledger.of_shards:
        return ledger
    newest: dict[tuple[int, int], LedgerRow] = {}
    for row in (row for each in ledger.of_shards for row in begun_rows(each) if not is_superseded(row, ledger)):
        name = row.slice_block, row.arrived_at
        if name not in newest or newest[name].version < row.version:
            newest[name] = row
    rows = sorted(newest.values(), key=lambda row: (row.start, row.epoch, row.position))
    lost = dict.fromkeys(row for each in ledger.of_shards for row in each.lost)
    return replace(ledger, rows=tuple(rows), lost=tuple(lost), of_shards=())


def begun_rows(ledger: SourceLedger) -> Iterator[LedgerRow]:
    """The rows of a ledger, those of an epoch that has not begun under the one before it: `accept-loss` was interrupted
    when only some shards had re-stamped theirs."""
    begun = max((start.epoch for start in ledger.starts), default=0)
    return (replace(row, epoch=begun) if row.epoch > begun else row for row in ledger.rows)


def reached(ledger: SourceLedger) -> int:
    """The offset below which everything is flushed on some shard."""
    return follow(whole(ledger)).position
