"""What `status` says of a source follows from its ledger and its log alone."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.outcomes import Outcomes, sum_of
from pintally.schemas.rows import LedgerRow, SourceLedger, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets
from pintally.streams.operations.progress import lag_of, progress_of

SOURCE = Source("engagement.save.v1", UUID(int=7), 0)
START = StartRow(SOURCE, 0, start=100, start_stream_time=0, rules=Rules().to_json())


def row(start: int, position: int, arrived_at: int) -> LedgerRow:
    outcomes = Outcomes(counted=position - start)
    return LedgerRow(
        SOURCE, 0, arrived_at, start, arrived_at * 1000, position, arrived_at * 1000, outcomes, outcomes.counted, 0, ""
    )


def test_a_source_that_no_worker_has_begun_lags_by_its_whole_log() -> None:
    found = progress_of(SOURCE, None, Offsets(log_start=100, log_end=250, last_stable=250))
    assert (found.position, found.stream_time, found.lag, found.outcomes) == (None, None, 150, Outcomes())


def test_a_source_with_a_start_row_alone_lags_from_its_start() -> None:
    found = progress_of(SOURCE, SourceLedger((START,), ()), Offsets(100, 250, 250))
    assert (found.position, found.lag) == (100, 150)


def test_a_slice_that_does_not_join_is_not_yet_counted() -> None:
    ledger = SourceLedger((START,), (row(100, 150, 600), row(180, 200, 1200)))
    found = progress_of(SOURCE, ledger, Offsets(100, 200, 200))
    assert (found.position, found.lag, found.outcomes) == (150, 50, Outcomes(counted=50))


@given(lengths=st.lists(st.integers(1, 1000), min_size=1, max_size=20), ahead=st.integers(0, 1000))
def test_outcomes_and_lag_add_up_to_the_log(lengths: list[int], ahead: int) -> None:
    position, rows = START.start, []
    for number, length in enumerate(lengths, start=1):
        rows.append(row(position, position + length, 600 * number))
        position += length
    found = progress_of(SOURCE, SourceLedger((START,), tuple(rows)), Offsets(0, position + ahead, position + ahead))
    assert found.position == position
    assert found.outcomes.total + found.lag + START.start == found.log_end
    assert lag_of([found, found]) == 2 * ahead


@given(st.lists(st.builds(Outcomes, *[st.integers(0, 10**9)] * 5), max_size=5))
def test_the_sum_of_outcomes_covers_as_many_offsets_as_its_parts(parts: list[Outcomes]) -> None:
    assert sum_of(parts).total == sum(part.total for part in parts)
