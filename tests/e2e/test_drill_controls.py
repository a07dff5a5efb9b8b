"""Each protection, switched off in real workers on real engines, turns a drill red; with all of them on it is exact."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from pintally.tools.drill.scenarios import SCENARIOS, Scenario, scenario_of
from pintally.tools.drill.without import ControlRun, play
from tests.engines import TestEngines, drop_database, drop_topics

CELLS, LAG, LETTERS = (
    "cells are not what was sent",
    "nothing is counted any more",
    "dead letters are not on their topic",
)
RED = {
    "base-is-the-ledgers-position": LAG,
    "clock-moves-by-chunk": CELLS,
    "clock-not-carried-over-a-restart": CELLS,
    "dead-letters-not-awaited": LETTERS,
    "dirty-cleared-before-the-answer": CELLS,
    "failed-ledger-rows-not-merged-back": LAG,
    "ids-not-collected": CELLS,
    "ids-of-the-previous-slice-only": CELLS,
    "ledger-before-rows": CELLS,
    "no-chain-check": CELLS,
    "no-read-back": LAG,
    "no-seek-for-a-missing-tail": LAG,
    "offset-reset-earliest": CELLS,
    "only-counted-ids-register": CELLS,
    "read-uncommitted": CELLS,
    "sums-instead-of-absolutes": CELLS,
    "two-flushes-in-flight": CELLS,
    "version-from-the-wall-clock": LAG,
    "superseded-rows-read": LAG,
}


def played(scenario: Scenario, engines: TestEngines, folder: Path, without: str | None = None) -> ControlRun:
    """Play it on the engines that all tests share."""
    name = f"s{uuid.uuid4().hex[:12]}"
    try:
        return play(scenario, engines.addresses, folder, without, name)
    finally:
        drop_topics(engines.addresses, f"{name}.")
        drop_database(engines.addresses, name)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("control", RED)
def test_a_drill_without_a_protection_is_red(control: str, engines: TestEngines, tmp_path: Path) -> None:
    run = played(scenario_of(control), engines, tmp_path, control)
    assert run.exit_code == 1, run
    assert any(RED[control] in reason for reason in run.red), run.red


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_scenario_with_all_protections_on_is_exact(name: str, engines: TestEngines, tmp_path: Path) -> None:
    run = played(SCENARIOS[name], engines, tmp_path)
    assert run.exit_code == 0, run


def test_every_scenario_has_its_controls_tested() -> None:
    assert sorted(RED) == sorted(control for scenario in SCENARIOS.values() for control in scenario.without)


@pytest.mark.timeout(600)
def test_the_command_starts_its_own_engines_and_exits_1_when_it_is_red(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pintally.cli", "drill", "--keep", str(tmp_path), "--without"]
    done = subprocess.run(
        [*command, "sums-instead-of-absolutes"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done
    assert CELLS in done.stdout


def test_the_worker_that_users_run_has_no_such_switch() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pintally.cli", "worker", "--without", "no-chain-check"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "No such option" in done.stderr
