"""How faults come: each at least once, tried again if it had no effect, and never silently."""

import random
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError

from pintally.tools.drill import schedule
from pintally.tools.drill.fault_context import Fault, FaultContext, Group, NoEffect
from pintally.tools.drill.faults import FAULTS
from pintally.tools.drill.report import Report
from pintally.tools.drill.schedule import RETRIES, Schedule
from pintally.tools.drill.truth import Expected

Injection = Any  # what a fault does with a context


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "PAUSE_SECONDS", (0.0, 0.0))


def has_effect(_context: FaultContext) -> str:
    return "seen"


def has_none(_context: FaultContext) -> str:
    raise NoEffect("nothing was hit")


def played(monkeypatch: pytest.MonkeyPatch, **faults: tuple[Group, Injection]) -> tuple[Report, Expected]:
    """The report of a play of no length with these faults."""
    for name, (group, injection) in faults.items():
        monkeypatch.setitem(FAULTS, name, Fault(name, "Summary.", "proof", group, injection))
    report, expected = Report(1, 3, 100.0, tuple(faults)), Expected()
    context: Any = SimpleNamespace(rng=random.Random(1), expected=expected)
    Schedule({"engines": context, "producers": context}, 0.0, report, lambda _line: None).run()
    return report, expected


def test_each_fault_comes_once_even_if_there_is_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = played(monkeypatch, a=("engines", has_effect), b=("producers", has_effect), c=("engines", has_effect))
    assert {"a", "b", "c"} <= {injection.name for injection in report.injections}
    assert report.without_effect() == []


def test_a_fault_that_has_no_effect_is_tried_again_and_then_named(monkeypatch: pytest.MonkeyPatch) -> None:
    report, _ = played(monkeypatch, a=("engines", has_none))
    assert [injection.evidence for injection in report.injections] == ["nothing was hit"] * len(report.injections)
    assert len(report.injections) >= 1 + RETRIES
    assert report.without_effect() == ["a"]


def test_an_engine_that_does_not_answer_is_no_effect_and_leaves_what_was_sent_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_context: FaultContext) -> str:
        raise KafkaTimeoutError("no answer")

    report, expected = played(monkeypatch, a=("producers", fails))
    assert "KafkaTimeoutError" in report.injections[0].evidence
    assert report.without_effect() == ["a"]
    assert not expected.foreign_known


def test_a_mistake_in_a_fault_ends_the_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(_context: FaultContext) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        played(monkeypatch, a=("engines", mistaken), b=("producers", has_effect))
