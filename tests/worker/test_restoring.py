"""How long a restore takes, and when it is over."""

from math import isnan
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from pintally.schemas.sources import Source
from pintally.streams.worker.restoring import Restoring

A, B = Source("a", UUID(int=1), 0), Source("a", UUID(int=1), 1)


def folds(**positions: int) -> list[Any]:
    return [SimpleNamespace(source={"a": A, "b": B}[name], position=at) for name, at in positions.items()]


def assigned(restoring: Restoring, now: float) -> None:
    restoring.begin(now)
    restoring.expect(A, 10)
    restoring.expect(B, 20)
    restoring.all_assigned()


def test_it_takes_until_the_last_source_is_where_it_is_flushed() -> None:
    restoring = Restoring()
    assigned(restoring, 100.0)
    restoring.look(folds(a=10, b=5), 101.0)
    assert (restoring.under_way, isnan(restoring.seconds), list(restoring.ahead)) == (True, True, [B])
    restoring.look(folds(a=12, b=20), 103.5)
    assert (restoring.under_way, restoring.seconds) == (False, 3.5)
    restoring.look(folds(a=13, b=30), 200.0)
    assert restoring.seconds == 3.5


def test_before_the_first_assignment_and_while_the_ledger_is_read_it_is_under_way() -> None:
    restoring = Restoring()
    restoring.look([], 1.0)
    assert (restoring.under_way, isnan(restoring.seconds)) == (True, True)
    restoring.begin(2.0)
    restoring.look([], 3.0)
    assert (restoring.under_way, isnan(restoring.seconds)) == (True, True)


def test_a_source_that_left_holds_nothing_up() -> None:
    restoring = Restoring()
    assigned(restoring, 100.0)
    restoring.look(folds(a=10), 101.0)
    assert restoring.seconds == 1.0


def test_the_next_assignment_begins_anew() -> None:
    restoring = Restoring()
    assigned(restoring, 100.0)
    restoring.look(folds(a=10, b=20), 101.0)
    assigned(restoring, 200.0)
    assert isnan(restoring.seconds)
    restoring.look(folds(a=10, b=20), 202.0)
    assert restoring.seconds == 2.0


def test_it_has_caught_up_once_each_source_was_at_the_end_of_its_log_however_far_the_logs_have_grown_since() -> None:
    restoring = Restoring()
    assigned(restoring, 100.0)
    a, b = folds(a=10, b=20)
    assert not restoring.catch_up([(a, 10), (b, None)])
    assert not restoring.catch_up([(a, 50), (b, 21)])
    assert restoring.catch_up([(a, 60), (b, 20)])


def test_a_source_that_left_is_not_behind() -> None:
    restoring = Restoring()
    assigned(restoring, 100.0)
    assert restoring.catch_up([])
