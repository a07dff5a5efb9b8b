"""Which shard's ledger says where counting begins again, where several servers share the pins. Pure (C35)."""

from collections.abc import Sequence

from pintally.schemas.rows import SourceLedger
from pintally.streams.counting.recovery import follow


def furthest_behind(ledgers: Sequence[SourceLedger]) -> SourceLedger:
    """Of the ledgers of one source, one a shard, the one that is flushed least far.

    What a shard further on has of the same slices is the same, and is written to it once more.
    """
    return min(ledgers, key=_flushed)


def _flushed(ledger: SourceLedger) -> tuple[int, int, int]:
    if not ledger.starts:
        return (-1, 0, 0)
    chain = follow(ledger)
    epoch = chain.epoch_start.epoch if chain.hole is None else -1
    return (epoch, chain.start, chain.position)
