"""`pintally experiment`: how arms differ, as tables and as JSON (C32)."""

import json
from dataclasses import replace
from typing import Any

from typer.testing import CliRunner

from pintally import cli
from pintally.schemas.actions import Action
from pintally.schemas.cells import ExperimentRows
from pintally.schemas.label_column import LabelColumn
from pintally.streams.settings import Settings
from tests.sinks.sealing import read, write
from tests.sinks.test_experiments import HOUR, People, few, rows

HOSTILE = "[red]b\x1b[2J"
BOTH = (Action.SAVE, Action.CLOSEUP)
SPAN = ("--since", "2000-01-01", "--until", "2100-01-01")


def run_as_text(settings: Settings, *options: str) -> str:
    ended = CliRunner().invoke(cli.app, ["experiment", *options], env=settings.environment(), catch_exceptions=False)
    assert ended.exit_code == 0
    return ended.stdout if "--json" in options else ended.output


def run(settings: Settings, *options: str) -> Any:
    text = run_as_text(settings, *options)
    return json.loads(text) if "--json" in options else text


def better() -> ExperimentRows:
    return rows("checkout", People.drawn(3).split(4, effect=0.3))


def test_it_shows_what_the_view_says_the_control_arm_first(stack: Settings) -> None:
    write(stack.clickhouse, better())
    shown = run(stack, "checkout", *SPAN, "--json")
    assert (shown["experiment"], shown["since"][:10], shown["until"][:10]) == ("checkout", "2000-01-01", "2100-01-01")
    control, treatment = shown["metrics"]["save_rate"]
    assert (control["arm"], control["p"], control["difference"]) == ("control", None, None)
    asked = f"experiment = 'checkout', since = {HOUR}, until = {HOUR + 1}"
    [row] = read(
        stack.clickhouse,
        f"SELECT value, lift, p FROM experiment_results({asked}) WHERE arm = 'treatment' AND metric = 'save_rate'",
    )
    assert (treatment["value"], treatment["lift"], treatment["p"]) == row
    assert shown["metrics"].keys() == {
        *("saves", "clicks", "closeups", "trusted_saves", "trusted_clicks", "trusted_closeups"),
        *("save_rate", "click_rate"),
    }


def test_tables_show_lift_interval_and_p(stack: Settings) -> None:
    write(stack.clickhouse, better())
    lines = [line.split() for line in run(stack, "checkout", *SPAN).splitlines()]
    at = lines.index(["save_rate"])
    assert lines[at + 1] == ["arm", "value", "lift", "95%", "interval", "p"]
    assert [line[0] for line in lines[at + 2 : at + 4]] == ["control", "treatment"]
    lift, low, high = (float(lines[at + 3][n].rstrip("%")) for n in (2, 3, 5))
    assert low < lift < high
    assert low < 30 < high
    assert lines[at + 3][-2:] == ["<", "0.001"]


def test_an_arm_of_another_share_is_warned_of_and_no_name_controls_the_terminal(stack: Settings) -> None:
    totals = People.drawn(3).split(4)
    totals[1, :, :128] = 0
    made = rows("checkout", totals)
    write(stack.clickhouse, replace(made, arm=LabelColumn(made.arm.numbers, ("control", HOSTILE))))
    said = run(stack, "checkout", *SPAN)
    assert "may not have equal shares of users" in said
    assert "\x1b[2J" not in said
    assert "[red]b" in said


def test_all_hours_since_the_beginning_of_time_are_not_those_of_a_week(stack: Settings) -> None:
    shown = run(stack, "checkout", "--since", "1970-01-01", "--until", "2100-01-01", "--json")
    assert (shown["since"][:10], shown["until"][:10]) == ("1970-01-01", "2100-01-01")


def test_an_experiment_without_events_is_told_apart(stack: Settings) -> None:
    assert "PINTALLY_EXPERIMENTS" in run(stack, "nobody")
    assert run(stack, "nobody", "--json")["metrics"] == {}


def test_arms_without_close_ups_have_no_rates_and_are_shown(stack: Settings) -> None:
    """As an experiment begins: rates are not known, which is no text of a number, and JSON has none for it."""
    write(stack.clickhouse, rows("new", few((0, Action.SAVE, 1, 2), (1, Action.SAVE, 2, 3))))

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    text = run_as_text(stack, "new", *SPAN, "--json")
    shown = json.loads(text, parse_constant=refuse)
    assert {arm["value"] for name in ("save_rate", "click_rate") for arm in shown["metrics"][name]} == {None}
    lines = [line.split() for line in run(stack, "new", *SPAN).splitlines()]
    at = lines.index(["save_rate"])
    assert lines[at + 2 : at + 4] == [["control", "control"], ["treatment"]]


def test_an_arm_with_one_bucket_has_a_lift_without_an_interval(stack: Settings) -> None:
    cells = [
        (arm, action, arm, n) for arm, each in enumerate(((1, 3), (5, 7))) for action, n in zip(BOTH, each, strict=True)
    ]
    write(stack.clickhouse, rows("new", few(*cells)))
    lines = [line.split() for line in run(stack, "new", *SPAN).splitlines()]
    at = lines.index(["save_rate"])
    assert lines[at + 3] == ["treatment", "0.7143", "+114.29%"]
