"""Hours of a day on call, in half a minute; `python -m tests.operate.day` plays all of it."""

import re
from pathlib import Path

from pintally.streams.settings import Settings
from tests.operate.day import KAFKA
from tests.operate.stages import STAGES, play
from tests.operate.world import open_world
from tests.support.engines import TestEngines
from tests.support.readme import README

SHORT = ("a worker is killed, and started again", "all workers end", "ClickHouse is away")
FACTOR = 30.0


def test_exactly_the_alerts_of_the_runbook_fire(
    stack: Settings, restartable_engines: TestEngines, tmp_path: Path
) -> None:
    settings = stack.changed(session_timeout_seconds=3)
    with open_world(settings, restartable_engines, tmp_path, FACTOR) as world:
        for stage in STAGES:
            if stage.name in SHORT:
                play(world, stage, 60)


def test_the_faults_of_the_runbook_are_those_that_are_played() -> None:
    text = (README.parent / "docs" / "runbook.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| (none|Pintally[\w, ]+)[^|]* \|$", text, re.MULTILINE)
    said = {name: set(re.findall(r"Pintally\w+", alerts)) for name, alerts in rows if name != KAFKA}
    assert said == {stage.name: set(stage.alerts) for stage in STAGES}
