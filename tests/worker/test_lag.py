"""How old what is not flushed is."""

from types import SimpleNamespace
from typing import Any

import pytest

from pintally.streams.worker.lag import caught_up, lag_seconds
from tests.support.logs import SOURCE

DAY = 86_400_000


def fold(position: int, flushed: int | None, stream_time: int = 0, oldest: int | None = None) -> Any:
    """A fold; `flushed` is its version, which is its position in epoch 0."""
    return SimpleNamespace(
        source=SOURCE, position=position, flushed_version=flushed, stream_time=stream_time, oldest_pending=oldest
    )


@pytest.mark.parametrize(
    ("of", "caught_up_at", "seconds"),
    [
        (fold(10, 10, DAY), 0.0, 0.0),  # all is flushed
        (fold(10, 5, DAY, oldest=DAY - 7_000), 0.0, 17.0),  # folded, not flushed
        (fold(5, 5, DAY - 90_000), 0.0, 100.0),  # not folded
        (fold(9, 9, 0), DAY / 1000 + 8, 0.0),  # nothing has a time
        (fold(9, 9, 1_000), DAY / 1000 + 8, 2.0),  # idle for a day, one record came just now
        (fold(0, None, 0), 0.0, 0.0),  # never counted, and without a time
    ],
)
def test_the_lag_is_the_age_of_the_oldest_record_that_is_not_flushed(
    of: Any, caught_up_at: float, seconds: float
) -> None:
    assert lag_seconds(of, 10, caught_up_at, DAY / 1000 + 10) == seconds


def test_an_empty_log_is_flushed() -> None:
    assert lag_seconds(fold(0, None), 0, 0.0, 100.0) == 0.0


def test_when_a_source_was_last_flushed_to_its_end_is_remembered_until_it_leaves() -> None:
    before = caught_up([(fold(10, 10), 10)], {}, 5.0)
    assert before == {SOURCE: 5.0}
    assert caught_up([(fold(10, 10), 12)], before, 6.0) == before
    assert caught_up([(fold(12, 10, oldest=1), 12)], before, 6.0) == before
    assert caught_up([(fold(10, 10), None)], before, 6.0) == before  # the end is not known
    assert caught_up([(fold(12, 12), 12)], before, 7.0) == {SOURCE: 7.0}
    assert caught_up([], before, 7.0) == {}
