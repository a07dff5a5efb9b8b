"""How faults come: each at least once, tried again if it did not bite, and never silently."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from pintally.tools.drill import play
from pintally.tools.drill.faults import FAULTS
from pintally.tools.drill.play import RETRIES, Play
from pintally.tools.drill.report import Report
from pintally.tools.drill.stage import DidNotBite, Fault, Lane, Stage
from pintally.tools.drill.truth import Expected

Strike = Any  # what a fault does with a stage


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "PAUSE_SECONDS", (0.0, 0.0))


def bites(_stage: Stage) -> str:
    return "it hurt"


def misses(_stage: Stage) -> str:
    raise DidNotBite("nothing was hit")


def played(monkeypatch: pytest.MonkeyPatch, **faults: tuple[Lane, Strike]) -> tuple[Report, Expected]:
    """The report of a play of no length with these faults."""
    for name, (lane, strike) in faults.items():
        monkeypatch.setitem(FAULTS, name, Fault(name, "Summary.", "proof", lane, strike))
    report, expected = Report(1, 3, 100.0, tuple(faults)), Expected()
    stage: Any = SimpleNamespace(rng=random.Random(1), expected=expected)
    Play({"engines": stage, "producers": stage}, 0.0, report, lambda _line: None).run()
    return report, expected


def test_each_fault_comes_once_even_if_there_is_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = played(monkeypatch, a=("engines", bites), b=("producers", bites), c=("engines", bites))
    assert {"a", "b", "c"} <= {strike.name for strike in report.strikes}
    assert report.never_bit() == []


def test_a_fault_that_does_not_bite_is_tried_again_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = played(monkeypatch, a=("engines", misses))
    assert [strike.shown for strike in report.strikes] == ["nothing was hit"] * len(report.strikes)
    assert len(report.strikes) >= 1 + RETRIES
    assert report.never_bit() == ["a"]


def test_an_engine_that_does_not_answer_is_no_bite_and_leaves_what_was_sent_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_stage: Stage) -> str:
        raise KafkaTimeoutError("no answer")

    report, expected = played(monkeypatch, a=("producers", fails))
    assert "KafkaTimeoutError" in report.strikes[0].shown
    assert report.never_bit() == ["a"]
    assert not expected.guests_known


def test_a_mistake_in_a_fault_ends_the_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(_stage: Stage) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        played(monkeypatch, a=("engines", mistaken), b=("producers", bites))
