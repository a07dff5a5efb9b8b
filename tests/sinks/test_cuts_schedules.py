"""Cuts by schedules of several actors, and what each protection is for."""

import pytest

from pintally.streams.settings import Settings
from tests.sinks.cuts_controls import CONTROLS, without
from tests.sinks.cuts_schedule import first_failure, without_fsync

SCHEDULES = range(2)
RED = {  # a seed that is red, or one before it; else 0
    "number taken after the cells are read": 3,
    "replay sources forgotten": 7,
    "rows_seal not kept": 7,
    "a slow sealer publishes its cut all the same": 7,
    "no second look": 10,
}
AT_MOST = 20  # seeds of a control


def test_whoever_seals_writes_opens_and_dies_at_once_readers_of_cuts_see_what_is_known(stack: Settings) -> None:
    without_fsync(stack.clickhouse)
    assert first_failure(SCHEDULES, stack.clickhouse) is None


@pytest.mark.parametrize("name", CONTROLS)
def test_without_a_protection_some_schedule_goes_wrong(name: str, stack: Settings) -> None:
    first = RED.get(name, 0)
    without_fsync(stack.clickhouse)
    with without(name) as of:
        assert first_failure(range(first, first + AT_MOST), stack.clickhouse, of) is not None
