"""Hours of a day on call, in half a minute; `python -m tests.operate.day` plays all of it."""

import re
from pathlib import Path

import pytest

from pintally.streams.settings import Settings
from tests.operate.day import KAFKA
from tests.operate.stages import STAGES, play
from tests.operate.world import open_world
from tests.support.engines import TestEngines
from tests.support.readme import README

SHORT = ("a worker is killed, and started again", "all workers end", "ClickHouse is away")
# What takes a second is half a minute of a day that is divided by 30, so on a busy machine alerts may be right to fire
# that are not foreseen. It is then played again more slowly: a rule that is wrong is wrong with each factor.
FACTORS = (30.0, 10.0, 4.0)
LONGEST_S = 10 * 60.0  # of the day, until an alert fires
SESSION_S = 90.0  # of the day


@pytest.mark.timeout(3600)
def test_exactly_the_alerts_of_the_runbook_fire(
    stack: Settings, restartable_engines: TestEngines, tmp_path: Path
) -> None:
    errors = list[Exception]()
    for factor in FACTORS:
        try:
            play_short(
                stack.changed(session_timeout_seconds=SESSION_S / factor),
                restartable_engines,
                tmp_path / f"{factor:g}",
                factor,
            )
            return
        except (AssertionError, TimeoutError) as error:
            errors.append(error)
            print(f"with times divided by {factor:g}: {error}")
    raise ExceptionGroup("a day on call is not as the runbook says, however slowly it is played", errors)


def play_short(settings: Settings, engines: TestEngines, folder: Path, factor: float) -> None:
    """Raises AssertionError or TimeoutError if other alerts fire than must."""
    folder.mkdir()
    for engine in (engines.kafka, engines.clickhouse):  # a day that failed left them as they were
        engine.start()
        engine.wait_ready()
    with open_world(settings, engines, folder, factor) as world:
        for stage in STAGES:
            if stage.name in SHORT:
                play(world, stage, LONGEST_S / factor)


def test_the_faults_of_the_runbook_are_those_that_are_played() -> None:
    text = (README.parent / "docs" / "runbook.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| (none|Pintally[\w, ]+)[^|]* \|$", text, re.MULTILINE)
    said = {name: set(re.findall(r"Pintally\w+", alerts)) for name, alerts in rows if name != KAFKA}
    assert said == {stage.name: set(stage.alerts) for stage in STAGES}
