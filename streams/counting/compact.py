"""A ledger in few rows, for who follows it again and again: complete slices that join are added up. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pintally.schemas.outcomes import sum_of
from pintally.schemas.rows import LedgerRow, SourceLedger
from pintally.streams.counting.recovery import follow

Place = tuple[int, int]  # block and arrival bucket of a slice: later slices of a source have a higher one


def compact(ledger: SourceLedger) -> tuple[SourceLedger, Place | None]:
    """Returns the complete slices but for the last in as few rows as `follow` needs, and the place of that last one.

    With the rows from that place on they are the same to `follow` as the whole: same position, stream time, outcomes.
    The place is None, and there are no rows, where no slice is complete.
    """
    complete = follow(ledger).complete if ledger.starts else ()
    if not complete:
        return replace(ledger, rows=()), None
    last = complete[-1]
    return replace(ledger, rows=tuple(_joined(complete[:-1]))), (last.slice_block, last.arrived_at)


def with_rows(kept: SourceLedger, rows: Iterable[LedgerRow]) -> SourceLedger:
    """Returns the ledger with these rows too."""
    return replace(kept, rows=(*kept.rows, *rows))


def _joined(rows: Iterable[LedgerRow]) -> Iterator[LedgerRow]:
    """One row for all that follow one another in one epoch."""
    run: list[LedgerRow] = []
    for row in rows:
        if run and (row.epoch, row.start) != (run[-1].epoch, run[-1].position):
            yield _one(run)
            run = []
        run.append(row)
    if run:
        yield _one(run)


def _one(run: list[LedgerRow]) -> LedgerRow:
    first, last = run[0], run[-1]
    outcomes = sum_of(row.outcomes for row in run)
    return replace(last, start=first.start, start_stream_time=first.start_stream_time, outcomes=outcomes,
                   cells_sum=outcomes.counted, sums={})  # fmt: skip
