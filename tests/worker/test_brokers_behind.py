"""A broker whose clock is behind is known by what it stamps between two looks."""

from uuid import UUID

from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow
from pintally.schemas.sources import Source
from pintally.streams.worker.finality import BrokersBehind

SOURCE = Source("engagement.save.v1", UUID(int=1), 0)
MINUTE = 60_000
HOUR = 60 * MINUTE
NOON = 1_750_000_000_000 // HOUR * HOUR
MARGIN = 5 * MINUTE


def rows(outcomes: Outcomes, clock: int) -> list[LedgerRow]:
    return [LedgerRow(SOURCE, 0, 0, 0, 0, outcomes.total, clock, outcomes, outcomes.counted, 0, "r")]


def looked(*looks: tuple[Outcomes, int, int]) -> list[bool]:
    """What each look says; a look is what was counted, the source's clock then, and the time."""
    brokers = BrokersBehind()
    return [brokers.look(SOURCE, rows(outcomes, clock), clock, at, MARGIN) for outcomes, clock, at in looks]


def test_of_what_came_before_the_first_look_nothing_is_known() -> None:
    assert looked((Outcomes(5), NOON - 3 * HOUR, NOON)) == [False]


def test_a_record_that_comes_between_two_looks_with_a_stamp_long_over_shows_it() -> None:
    late = NOON - 3 * HOUR
    assert looked((Outcomes(5), late, NOON), (Outcomes(6), late + 1, NOON + MINUTE)) == [False, True]
    assert looked((Outcomes(5), late, NOON), (Outcomes(5, late=1), late, NOON + MINUTE)) == [False, True]


def test_it_stays_known_while_nothing_comes_and_is_over_with_the_first_right_stamp() -> None:
    late = NOON - 3 * HOUR
    found = looked(
        (Outcomes(5), late, NOON),
        (Outcomes(6), late, NOON + MINUTE),
        (Outcomes(6), late, NOON + 9 * HOUR),
        (Outcomes(7), NOON + 9 * HOUR, NOON + 9 * HOUR + MINUTE),
        (Outcomes(7), NOON + 9 * HOUR, NOON + 12 * HOUR),
    )
    assert found == [False, True, True, False, False]


def test_stamps_within_the_margin_say_nothing() -> None:
    assert looked((Outcomes(5), 0, NOON), (Outcomes(6), NOON - MARGIN, NOON + MINUTE)) == [False, False]


def test_gaps_and_records_that_may_have_no_timestamp_say_nothing() -> None:
    old = NOON - 3 * HOUR
    assert looked((Outcomes(5), old, NOON), (Outcomes(5, invalid=2, gaps=3), old, NOON + MINUTE)) == [False, False]


def test_a_source_that_was_idle_for_hours_is_not_suspected_when_it_wakes() -> None:
    assert looked((Outcomes(5), NOON - 9 * HOUR, NOON), (Outcomes(6), NOON + MINUTE, NOON + 2 * MINUTE)) == [
        False,
        False,
    ]
