"""A scenario from its start to its verdict, with a protection switched off or with all of them on."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pintally.audit.errors import CannotTell
from pintally.audit.verify import verify
from pintally.schemas.sources import Source
from pintally.streams.audit_addresses import addresses_of
from pintally.tools.drill.fault_context import NoEffect
from pintally.tools.drill.letters import missing_letters
from pintally.tools.drill.report import EXACT, FAILED, INCONCLUSIVE
from pintally.tools.drill.truth import differences
from pintally.tools.drill.workers import PINTALLY_WORKER
from pintally.tools.engines import EngineAddresses
from pintally.tools.python import module
from tests.controls.scenario_context import ScenarioContext, scenario_context
from tests.controls.scenarios import Scenario
from tests.controls.worker import NAME

WITH_TESTS = ("/usr/bin/env", f"PYTHONPATH={Path(__file__).parents[2]}")  # `tests` is not installed
REFUSED = 2  # a worker's exit code when a person must act
COUNTED_SECONDS = 120.0  # for all to be counted
STILL_SECONDS = 10.0  # nothing more is counted, though workers run: what a protection that is off may come to
PAUSE_SECONDS = 0.5  # between two looks


@dataclass(slots=True)
class ControlRun:
    """What came of a scenario; `failures` are the reasons of the verdict."""

    scenario: str
    without: str | None
    failures: list[str] = field(default_factory=list)
    inconclusive: str = ""
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 exact, 1 failed, 2 the scenario did not come about."""
        return FAILED if self.failures else INCONCLUSIVE if self.inconclusive else EXACT


def run_scenario(
    scenario: Scenario,
    addresses: EngineAddresses,
    folder: Path,
    control: str | None = None,
    name: str = "scenario",
    *,
    forked: bool = False,
) -> ControlRun:
    """Run a scenario with everything on, or without one protection. Logs are in `folder`, topics begin with `name`.

    Workers are started as users start them, or `forked` from a process that has imported what they need.
    """
    run, began = ControlRun(scenario.name, control), time.monotonic()
    with scenario_context(
        addresses, name, folder, command(scenario, control), scenario.chosen, forked=forked
    ) as context:
        try:
            scenario.run(context)
            run.failures += judge(context, scenario, STILL_SECONDS if control else COUNTED_SECONDS)
        except NoEffect as reason:
            run.inconclusive = str(reason)
    run.seconds = time.monotonic() - began
    return run


def command(scenario: Scenario, control: str | None) -> Sequence[str]:
    """How workers are started: as users start them, unless something is to be wrong with them."""
    wrong = [text for name, value in (("--without", control), ("--inject", scenario.inject)) if value
             for text in (name, value)]  # fmt: skip
    return (*WITH_TESTS, *module(NAME), *wrong) if wrong else PINTALLY_WORKER


def judge(context: ScenarioContext, scenario: Scenario, patience: float) -> list[str]:
    """Why it failed: what was sent is never counted, counts differ from it, letters are missing; else `verify`.

    `patience` is for how many seconds workers may count nothing.
    """
    failures = []
    still = Still(context, patience)
    over = context.until(lambda: has_refused(context) or still.lag() == 0 or still(), COUNTED_SECONDS, PAUSE_SECONDS)
    if has_refused(context):
        if not scenario.refuses:
            failures.append("a worker refused to go on")
    elif lag := context.lag():
        failures.append(f"lag is {lag:,}, and nothing is counted any more" if over else f"lag is {lag:,}")
    else:
        wrong, shown = differences(context.expected.cells, context.probe.cells())
        if wrong:
            failures.append(f"{wrong:,} cells are not what was sent: {'; '.join(shown)}")
    if letters := missing_letters(context):
        failures.append(f"{len(letters):,} dead letters are not on their topic, the first of {letters[0]}")
    return failures or verified(context)


class Still:
    """Whether nothing has been counted for a while, since the workers that run were ready, by the last look."""

    def __init__(self, context: ScenarioContext, seconds: float) -> None:
        self._context, self._seconds = context, seconds
        self._positions: Mapping[Source, int] = {}
        self._seen: object = None
        self._since = time.monotonic()

    def lag(self) -> int:
        """Look how far it is counted, and return how many offsets are left."""
        self._positions = self._context.positions()
        return self._context.behind(self._positions)

    def __call__(self) -> bool:
        """Say so."""
        ready = all(worker.ready for worker in self._context.workers if worker.wanted)
        seen = ready, self._positions
        if seen != self._seen or not ready:
            self._seen, self._since = seen, time.monotonic()
        return time.monotonic() - self._since > self._seconds


def has_refused(context: ScenarioContext) -> bool:
    """Whether a worker has ended and asked for a person."""
    return any(REFUSED in worker.ended_by_itself for worker in context.workers)


def verified(context: ScenarioContext) -> list[str]:
    """What `pintally verify` finds."""
    try:
        report = verify(addresses_of(context.settings), processes=1)
    except CannotTell:
        return []
    if not report.findings:
        return []
    counts = ", ".join(f"{count:,} {kind.value}" for kind, count in sorted(report.findings.counts.items()))
    return [f"verify finds {counts}; {report.findings.shown[0]}"]
