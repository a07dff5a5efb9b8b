"""Cuts by schedules of several actors, and what each protection is for."""

import pytest

from pintally.streams.settings import Settings
from tests.sinks.cuts_controls import without
from tests.sinks.cuts_schedule import first_failure, without_fsync

SCHEDULES = range(2)
# Controls, and a seed that is red. The others take minutes: `python -m tests.sinks.cuts_controls`.
QUICK = {
    "no seal filter": 0,
    "known_from left out": 4,
    "cut published before its bucket": 2,
    "correction written into the hour": 5,
    "sums unchecked": 1,
}
AT_MOST = 20  # seeds of a control


def test_whoever_seals_writes_opens_and_dies_at_once_readers_of_cuts_see_what_is_known(stack: Settings) -> None:
    without_fsync(stack.clickhouse)
    assert first_failure(SCHEDULES, stack.clickhouse) is None


@pytest.mark.parametrize("name", QUICK)
def test_without_a_protection_some_schedule_goes_wrong(name: str, stack: Settings) -> None:
    first = QUICK[name]
    without_fsync(stack.clickhouse)
    with without(name) as of:
        assert first_failure(range(first, first + AT_MOST), stack.clickhouse, of) is not None
