"""What a scenario can switch off in a real worker."""

import re
from pathlib import Path

from pintally.streams.worker.counters import Counters
from pintally.tools.drill.stack import settings_for
from pintally.tools.drill.workers import PINTALLY_WORKER, WorkerProcess
from pintally.tools.engines import EngineAddresses
from tests.controls.__main__ import listed, protections
from tests.controls.run import command
from tests.controls.scenarios import SCENARIOS, scenario_of
from tests.controls.worker import INJECTIONS


def test_each_protection_belongs_to_one_scenario_and_says_what_is_off() -> None:
    names = [name for scenario in SCENARIOS.values() for name in scenario.without]
    assert len(names) == len(set(names))
    assert all(re.match(r"C[0-9]+: ", summary) for summary in protections().values())
    assert [line.split()[0] for line in listed().splitlines()] == sorted(names)


def test_with_all_protections_on_workers_are_those_that_users_run() -> None:
    plain = [scenario for scenario in SCENARIOS.values() if scenario.inject is None]
    assert all(command(scenario, None) == PINTALLY_WORKER for scenario in plain)
    assert command(scenario_of("no-chain-check"), None)[-2:] == ("--inject", "lost-start")
    assert {scenario.inject for scenario in SCENARIOS.values()} - {None} == set(INJECTIONS)


def test_a_worker_that_became_another_is_not_ready_before_that_one_is(tmp_path: Path) -> None:
    settings = settings_for(EngineAddresses("127.0.0.1:1", "127.0.0.1", 1, 1), {})
    worker = WorkerProcess(settings, tmp_path / "worker.log", "one", True, ("/bin/true",))
    assert not worker.ready
    own = Counters()
    own.keep_in(tmp_path / "worker.counters.json")
    own.add("starts")
    assert not worker.ready
    own.set("ready", 1)
    assert worker.ready
    own.set("ready", 0)  # it ends itself
    assert not worker.ready
    own.set("ready", 1)
    worker.start()
    assert not worker.ready, "that was said by the process before"
    worker.stop()
