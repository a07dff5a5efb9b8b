"""C12 to C15 and C19: where a fold begins again."""

from uuid import UUID

from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, SourceLedger, StartRow
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.recovery import base_of, follow
from pintally.streams.counting.slices import Base

SOURCE = Source("engagement.save.v1", UUID(int=1), 0)
RULES = Rules(slice_records=100)
T = 1_700_000_000_000 // ARRIVAL_BUCKET_MS  # number of a ten-minute bucket


def start(offset: int = 0, epoch: int = 0, stream_time: int = 0, rules: Rules = RULES) -> StartRow:
    return StartRow(SOURCE, epoch, offset, stream_time, rules.to_json())


def row(begin: int, position: int, bucket: int = T, epoch: int = 0) -> LedgerRow:
    """A slice whose stream time stands a second per offset into its bucket."""
    stream_time = bucket * ARRIVAL_BUCKET_MS
    n = position - begin
    return LedgerRow(
        SOURCE, begin // 100, bucket * ARRIVAL_BUCKET_MS // 1000, begin, stream_time + begin, position,
        stream_time + position, Outcomes(n), n, epoch, RULES.fingerprint,
    )  # fmt: skip


def base(starts: tuple[StartRow, ...], *rows: LedgerRow) -> Base:
    return base_of(follow(SourceLedger(starts, rows)))


def test_a_source_with_only_a_start_row_begins_there() -> None:
    assert base((start(7, stream_time=5),)) == Base(7, 5, 7, 5)


def test_the_last_slice_is_never_taken_for_complete() -> None:
    only = row(0, 100)
    assert base((start(),), only) == Base(0, only.start_stream_time, 0, only.start_stream_time)


def test_the_base_is_the_first_slice_that_is_not_fully_flushed_even_if_later_ones_have_rows() -> None:
    chain = follow(SourceLedger((start(),), (row(0, 100), row(100, 150), row(200, 300), row(300, 310))))
    assert (chain.start, chain.position) == (100, 150)


def test_a_row_that_the_chain_does_not_reach_is_not_believed() -> None:
    chain = follow(SourceLedger((start(),), (row(100, 200),)))
    assert (chain.start, chain.position, chain.complete) == (0, 0, ())


def test_ids_are_collected_from_every_slice_of_the_block_and_bucket_before() -> None:
    first, second, third = row(0, 100), row(100, 160), row(160, 200, T + 1)
    unfinished = row(200, 220, T + 1)
    assert base((start(),), first, second, third, unfinished) == Base(
        100, second.start_stream_time, 200, unfinished.start_stream_time
    )


def test_ids_two_buckets_back_cannot_matter() -> None:
    old, unfinished = row(0, 50, T), row(50, 60, T + 2)
    assert base((start(),), old, unfinished).collect_start == 50


def test_ids_are_collected_across_more_than_the_previous_slice() -> None:
    slices = [row(0, 20, T), row(20, 40, T + 1), row(40, 60, T + 1)]
    assert base((start(),), *slices, row(60, 70, T + 1)).collect_start == 0


def test_rows_of_a_lower_epoch_from_an_epoch_start_on_are_superseded() -> None:
    late_insert = row(100, 180, epoch=0)
    chain = follow(SourceLedger((start(), start(100, 1, stream_time=77)), (row(0, 100), late_insert)))
    assert (chain.start, chain.unfinished, chain.epoch_start.epoch) == (100, None, 1)
    assert [complete.start for complete in chain.complete] == [0]


def test_an_epoch_start_ends_the_slice_before_it() -> None:
    chain = follow(SourceLedger((start(), start(100, 1)), (row(0, 100), row(100, 130, epoch=1))))
    assert (chain.start, chain.position) == (100, 130)


def test_the_rules_in_force_are_those_of_the_highest_epoch() -> None:
    newer = Rules(slice_records=50)
    assert follow(SourceLedger((start(), start(100, 1, rules=newer)), (row(0, 100),))).rules == newer
