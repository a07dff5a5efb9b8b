"""A ledger in few rows is to `follow` what the whole is: also with the rows that come later."""

from dataclasses import replace
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.outcomes import Outcomes, sum_of
from pintally.schemas.rows import LedgerRow, LostKind, LostRow, SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.compact import compact, with_rows
from pintally.streams.counting.recovery import follow

SOURCE = Source("engagement.save.v1", UUID(int=1), 0)
RULES = Rules().to_json()
BUCKET = 600


def row(start: int, position: int, bucket: int, epoch: int) -> LedgerRow:
    outcomes = Outcomes(position - start - 1, 1, 0, 0, 0) if position > start else Outcomes()
    stream_time = bucket * BUCKET * 1000
    return LedgerRow(SOURCE, start // 100, bucket * BUCKET, start, stream_time, position, stream_time, outcomes,
                     outcomes.counted, epoch, "rules")  # fmt: skip


@st.composite
def ledgers(draw: st.DrawFn) -> SourceLedger:
    """Slices that join, in one epoch or two, with a loss between them or not; the last one may not be complete."""
    lengths = draw(st.lists(st.integers(1, 60), min_size=1, max_size=12))
    changes_at = draw(st.integers(0, len(lengths)))
    lost = draw(st.integers(0, 50))
    starts, rows, gaps, position, epoch = [StartRow(SOURCE, 0, 0, 0, RULES)], [], [], 0, 0
    for number, length in enumerate(lengths):
        if number == changes_at and number:
            epoch = 1
            if lost:
                gaps.append(LostRow(SOURCE, 1, LostKind.TRIMMED, position, position + lost, ""))
            position += lost
            starts.append(StartRow(SOURCE, 1, position, 0, RULES))
        rows.append(row(position, position + length, number, epoch))
        position += length
    return SourceLedger(tuple(starts), tuple(rows), tuple(gaps))


def facts(ledger: SourceLedger) -> tuple[int, int, Outcomes]:
    chain = follow(ledger)
    rows = [*chain.complete, *([chain.unfinished] if chain.unfinished else [])]
    return chain.position, chain.stream_time, sum_of(each.outcomes for each in rows)


@given(ledgers(), st.data())
def test_what_is_kept_and_the_rows_from_the_place_on_say_the_same_as_all_rows(
    whole: SourceLedger, data: st.DataObject
) -> None:
    read_at = data.draw(st.integers(0, len(whole.rows)), "rows that the first look found")
    kept, place = compact(replace(whole, rows=whole.rows[:read_at]))
    later = [each for each in whole.rows if place is None or (each.slice_block, each.arrived_at) >= place]
    assert facts(with_rows(kept, later)) == facts(whole)


@given(st.integers(2, 200))
def test_joined_slices_of_one_epoch_become_one_row(slices: int) -> None:
    rows = tuple(row(number * 10, number * 10 + 10, number, 0) for number in range(slices))
    kept, place = compact(SourceLedger((StartRow(SOURCE, 0, 0, 0, RULES),), rows))
    assert len(kept.rows) <= 1
    assert place is not None
    assert place == (rows[-2].slice_block, rows[-2].arrived_at)
