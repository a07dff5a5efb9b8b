"""What a drill can switch off, and that only its own workers can."""

import re
from pathlib import Path

import pytest

from pintally.cli.without import drill_without, listed, protections
from pintally.schemas.errors import PintallyError
from pintally.tools.drill.scenarios import SCENARIOS, scenario_of
from pintally.tools.drill.scene import SceneWorker
from pintally.tools.drill.stack import settings_for
from pintally.tools.drill.without import command
from pintally.tools.drill.worker import INJECTIONS
from pintally.tools.drill.workers import PINTALLY_WORKER
from pintally.tools.engines import EngineAddresses

TOOLS = Path(__file__).parents[2] / "pintally" / "tools"


def test_each_protection_belongs_to_one_scenario_and_says_what_is_off() -> None:
    names = [name for scenario in SCENARIOS.values() for name in scenario.without]
    assert len(names) == len(set(names))
    assert all(re.match(r"C[0-9]+: ", summary) for summary in protections().values())
    assert [line.split()[0] for line in listed().splitlines()] == sorted(names)


def test_a_name_that_is_no_protection_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(PintallyError, match="no-such") as refused:
        drill_without("no-such", tmp_path, False, print)
    assert "ids-not-collected" in refused.value.remedy


def test_with_all_protections_on_workers_are_those_that_users_run() -> None:
    plain = [scenario for scenario in SCENARIOS.values() if scenario.inject is None]
    assert all(command(scenario, None) == PINTALLY_WORKER for scenario in plain)
    assert command(scenario_of("no-chain-check"), None)[-2:] == ("--inject", "lost-start")
    assert {scenario.inject for scenario in SCENARIOS.values()} - {None} == set(INJECTIONS)


def test_nothing_but_the_drill_opens_a_control() -> None:
    using = {path for path in TOOLS.rglob("*.py") if "drill.controls" in path.read_text()}
    assert {path.relative_to(TOOLS).parts[0] for path in using if path.name != "without.py"} == {"drill"}


@pytest.mark.parametrize(
    ("told", "ready"),
    [
        ("", False),
        ("Worker ready\n", True),
        ("Worker ready\nthis worker ends and starts anew\n", False),
        ("Worker ready\nthis worker ends and starts anew\nWorker ready\n", True),
    ],
)
def test_a_worker_that_became_another_is_not_ready_before_that_one_is(tmp_path: Path, told: str, ready: bool) -> None:
    settings = settings_for(EngineAddresses("127.0.0.1:1", "127.0.0.1", 1, 1), {})
    worker = SceneWorker(settings, tmp_path / "worker.log", "one", True, PINTALLY_WORKER)
    worker.log.write_text(told)
    assert worker.ready == ready
