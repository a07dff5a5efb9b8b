"""The drill's verdict: it must be able to fail, and to say that it proves nothing."""

import logging
import re
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.cli.drill import help_text, names
from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.streams.log.formats import TextFormatter
from pintally.tools.drill.faults import FAULTS
from pintally.tools.drill.producers import default_partition
from pintally.tools.drill.read_consistency import ReadConsistencyChecker, Row
from pintally.tools.drill.reader import windows
from pintally.tools.drill.report import Injection, Report
from pintally.tools.drill.schedule import rounds
from pintally.tools.drill.truth import Cell, Counts, Expected, differences, trusted_above
from pintally.tools.drill.workers import tracebacks

HOUR = "pin_engagement_1h"
NAMES = st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, unique=True)


@given(NAMES, st.integers(0, 2**32))
def test_the_same_seed_and_faults_are_the_same_plan(chosen: list[str], seed: int) -> None:
    assert list(islice(rounds(chosen, seed), 100)) == list(islice(rounds(chosen, seed), 100))


@given(NAMES, st.integers(0, 2**32))
def test_each_round_has_every_fault_once(chosen: list[str], seed: int) -> None:
    plan = list(islice(rounds(chosen, seed), 3 * len(chosen)))
    for number in range(3):
        assert sorted(name for each, name in plan if each == number) == sorted(chosen)


def test_a_fault_comes_no_more_often_than_it_may() -> None:
    plan = list(islice(rounds(["a", "b"], 1, {"a": 2}), 20))
    assert [name for _, name in plan].count("a") == 2
    assert list(rounds(["a"], 1, {"a": 3})) == [(0, "a"), (1, "a"), (2, "a")]


def row(*counts: int, final: bool = False, start: int = 3_600, pin: int = 7) -> Row:
    saves, clicks, closeups = counts
    return Row(start, pin, (saves, clicks, closeups), final)


def looked(*looks: list[Row]) -> ReadConsistencyChecker:
    checker = ReadConsistencyChecker()
    for at, rows in enumerate(looks):
        checker.see(HOUR, 0, rows, float(at))
    return checker


def test_counts_that_only_grow_and_end_at_the_truth_are_no_violation() -> None:
    checker = looked([], [row(1, 0, 0)], [row(1, 2, 3)], [row(1, 2, 3, final=True)])
    checker.conclude({(HOUR, 3_600, 7): (1, 2, 3)})
    assert checker.violations == 0
    assert checker.final_windows == 1


@pytest.mark.parametrize(
    ("looks", "words"),
    [
        ([[row(2, 0, 0)], [row(1, 0, 0)]], "fell"),
        ([[row(2, 0, 0)], []], "is gone"),
        ([[row(1, 0, 0, final=True)], [row(2, 0, 0, final=True)]], "was final"),
        ([[row(1, 0, 0, final=True)], [row(1, 0, 0)]], "not any more"),
    ],
)
def test_what_no_reader_may_see_is_a_violation(looks: list[list[Row]], words: str) -> None:
    checker = looked(*looks)
    assert checker.violations == 1
    assert words in checker.shown[0]


def test_a_count_above_the_truth_is_a_violation_even_if_it_went_back_to_it() -> None:
    checker = looked([row(3, 0, 0)], [row(2, 0, 0)])
    checker.conclude({(HOUR, 3_600, 7): (2, 0, 0)})
    assert any("the truth is (2, 0, 0)" in shown for shown in checker.shown)


def test_a_last_look_below_the_truth_is_a_violation() -> None:
    checker = looked([row(1, 0, 0)])
    checker.conclude({(HOUR, 3_600, 7): (2, 0, 0), (HOUR, 7_200, 7): (1, 0, 0)})
    assert checker.violations == 2


def test_a_window_that_was_not_asked_for_is_not_gone() -> None:
    checker = looked([row(1, 0, 0)])
    checker.see(HOUR, 7_200, [], 1.0)
    checker.see("pin_engagement_1m", 0, [], 1.0)
    assert checker.violations == 0


def test_the_truth_of_a_window_is_the_sum_of_its_minutes_for_the_pins_asked_for() -> None:
    cells = {
        Cell(1, 3_600, 7): Counts(2, 2), Cell(1, 3_660, 7): Counts(1, 0), Cell(3, 3_660, 7, "home"): Counts(3, 1),
        Cell(3, 3_660, 7): Counts(2, 2), Cell(1, 3_600, 8): Counts(9, 5),
    }  # fmt: skip
    truth = windows(cells, [7])
    assert truth["pin_engagement_1m", 3_660, 7] == (1, 0, 5, 0, 0, 3)
    assert truth["pin_engagement_1h", 3_600, 7] == (3, 0, 5, 2, 0, 3)
    assert truth["pin_engagement_1d", 0, 7] == (3, 0, 5, 2, 0, 3)
    assert truth["pin_breakdown_1h", 3_600, (7, "surface", "home")] == (0, 0, 3, 0, 0, 1)
    assert truth["pin_breakdown_1d", 0, (7, "surface", "unknown")] == (3, 0, 2, 2, 0, 2)
    assert truth["pin_breakdown_1d", 0, (7, "platform", "unknown")] == (3, 0, 5, 2, 0, 3)
    assert not any(of in (8, (8, "surface", "unknown")) for _, _, of in truth)


def test_differences_are_found_both_ways() -> None:
    seven, home = Cell(1, 60, 7), Cell(1, 60, 7, "home", "ios")
    count, shown = differences({seven: 2, Cell(1, 60, 8): 1, home: 1}, {seven: 3, Cell(2, 60, 9): 1, home: 1})
    assert count == 3
    assert "save of pin 7 in minute 60 on 'unknown', 'unknown': sent 2, counted 3" in shown
    assert differences({home: 2}, {home: 2}) == (0, [])
    assert differences({home: 2}, {seven: 2})[0] == 2


def test_more_trusted_than_can_be_is_named() -> None:
    home = Cell(1, 60, 7, "home", "ios")
    assert trusted_above({home: 5}, {home: Counts(60, 5)}) == []
    [above] = trusted_above({home: 5}, {home: Counts(60, 6)})
    assert above == "save of pin 7 in minute 60 on 'home', 'ios': 6 trusted, at most 5 can be"


def test_the_emulators_truth_is_read_with_all_its_outcomes(tmp_path: Path) -> None:
    file = tmp_path / "truth.jsonl"
    file.write_text(
        '{"topic": "t", "partition": 0, "outcome": "counted", "records": 3}\n'
        '{"topic": "t", "partition": 0, "outcome": "late", "records": 2}\n'
        '{"action": "click", "minute": 60, "pin_id": "18446744073709551615", "surface": "home",'
        ' "platform": "unknown", "count": 3, "trusted": 2}\n'
        '{"experiment": "ranker_q4", "arm": "control", "action": "click", "hour": 0, "events": 3}\n'
        '{"hour": 0, "pin_id": "18446744073709551615", "surface": null, "users": 2, "clicks_users": 2}\n'
        '{"experiment": "ranker_q4", "arm": "control", "users_of_arm": 2}\n'
        '{"hour": 0, "user_id": "7", "events": 12, "pins": 12, "is_bot": false}\n'
    )
    expected = Expected()
    expected.add_file(file)
    assert expected.sent == 5
    cell = Cell(int(Action.CLICK), 60, 2**64 - 1, "home")
    assert (expected.cells, expected.trusted_at_most) == ({cell: 3}, {cell: 2})


def report(*injections: tuple[str, bool]) -> Report:
    made = Report(1, 3, 100.0, ("a", "b"))
    made.injections = [Injection(0.0, 1.0, name, took_effect, "shown") for name, took_effect in injections]
    return made


def test_a_fault_that_took_effect_once_counts() -> None:
    assert report(("a", True), ("b", False), ("b", True), ("b", False)).without_effect() == []


def test_a_claimed_fault_that_was_never_injected_or_never_took_effect_is_named() -> None:
    assert report(("a", False)).without_effect() == ["a", "b"]


def test_failed_goes_before_inconclusive_and_inconclusive_before_exact() -> None:
    made = report()
    assert made.exit_code == 0
    made.inconclusive.append("never took effect")
    assert made.exit_code == 2
    made.failures.append("it differs")
    assert made.exit_code == 1
    assert "it differs" in made.text()
    assert made.to_dict()["exit_code"] == 1


def test_the_last_evidence_is_that_of_an_effect() -> None:
    made = Report(1, 3, 100.0, ("a",))
    made.injections = [Injection(0.0, 1.0, "a", True, "seen"), Injection(2.0, 1.0, "a", False, "not seen")]
    assert made.faults()["a"] == {"injected": 2, "took_effect": 1, "evidence": "seen"}


def test_errors_are_what_tracebacks_in_logs_end_with() -> None:
    begun = "[ERROR] oh\nTraceback (most recent call last):\n  File x, line 1\n    y()\n"
    assert tracebacks(begun) == []
    log = begun + "ValueError: z\n[INFO] on\nTraceback (most recent call last):\n  x\nValueError: z\nOSError\n"
    assert tracebacks(log) == ["ValueError: z"] * 2
    try:
        raise TypeError("t") from ZeroDivisionError("z")
    except TypeError as error:
        kept = logging.makeLogRecord({"levelname": "ERROR", "msg": "oh", "exc_info": (TypeError, error, None)})
    assert tracebacks(f"{TextFormatter().format(kept)}\n") == ["ZeroDivisionError: z", "TypeError: t"]
    made = Report(1, 3, 100.0, ("a",), errors={"ValueError: z": 2})
    assert "2 times ValueError: z" in made.text()
    assert made.to_dict()["errors"] == {"ValueError: z": 2}


def test_every_fault_says_what_it_does_and_what_proves_that_it_took_effect() -> None:
    shown = help_text()
    for name, fault in FAULTS.items():
        assert fault.summary.endswith("."), name
        assert fault.proof, name
        assert f"    {name} " in shown


def test_an_unknown_fault_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(PintallyError, match="no such fault") as refused:
        names("worker-kill,earthquake")
    assert "worker-kill" in refused.value.remedy
    assert names("all", 3) == tuple(FAULTS)
    assert names("worker-kill, worker-kill") == ("worker-kill",)


def test_faults_of_three_brokers_come_with_three_alone_and_are_refused_by_name_with_one() -> None:
    needing = {"broker-lost", "brokers-restarted", "leaders-moved", "followers-away"}
    assert {name for name, fault in FAULTS.items() if fault.brokers > 1} == needing
    assert set(names("all", 1)) == set(FAULTS) - needing
    for name in needing:
        with pytest.raises(PintallyError, match=f"--faults {name}: needs several brokers") as refused:
            names(f"worker-kill,{name}", 1)
        assert refused.value.remedy == "Add --kafka-brokers 3."
        assert names(name, 3) == (name,)


def test_make_drill_names_every_fault_of_three_brokers() -> None:
    """The first line of it has all others."""
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    (listed,) = re.findall(r"^OF_BROKERS := (.*)$", makefile, re.MULTILINE)
    assert set(listed.split(",")) == set(FAULTS) - set(names("all", 1))


def test_the_default_partition_is_that_of_javas_client() -> None:
    """Kafka's own DefaultPartitionerTest: murmur2 of `21` is -973932308."""
    assert default_partition(b"21", 7) == (-973932308 & 0x7FFFFFFF) % 7
