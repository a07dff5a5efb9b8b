"""A log with known arms and a known effect gives the known answer: a whole worker on the real engines (C32)."""

import json
from collections import Counter
from pathlib import Path

from pintally.schemas.actions import Action
from pintally.streams.settings import Settings
from tests.e2e.running import Traffic, verify, wait_caught_up, workers
from tests.sinks.sealing import read

EFFECT = 0.8
ARMS = "SELECT arm, action, toUnixTimestamp(hour), sum(events) FROM experiment_cells FINAL GROUP BY ALL"
RESULTS = """
SELECT metric, value, difference, low, high, p, value - difference AS of_control FROM experiment_results(
    experiment = 'ranker_q4', since = '2000-01-01 00:00:00', until = '2100-01-01 00:00:00')
WHERE arm = 'treatment' AND control = 'control' ORDER BY metric
"""


def test_arms_and_their_effect_are_what_was_sent(stack: Settings, tmp_path: Path) -> None:
    settings, truth = stack.changed(experiments="ranker_q4"), tmp_path / "truth"
    options = ("--events", "40000", "--effect", str(EFFECT), "--bots", "0.02", "--seed", "5", "--truth", str(truth))
    with workers(settings, tmp_path) as start:
        start()
        with Traffic(settings, *options) as traffic:
            traffic.finish()
        wait_caught_up(settings)
    sent = [json.loads(line) for line in truth.read_text().splitlines()]
    expected = Counter(
        {
            (line["arm"], int(Action[line["action"].upper()]), line["hour"]): line["events"]
            for line in sent
            if "arm" in line
        }
    )
    assert {tuple(key): events for *key, events in read(settings.clickhouse, ARMS)} == expected
    found = {row[0]: row[1:] for row in read(settings.clickhouse, RESULTS)}
    for action in Action:
        counted = [
            sum(n for (arm, of, _), n in expected.items() if (arm, of) == (each, action))
            for each in ("treatment", "control")
        ]
        value, difference, *_ = found[action.column]
        assert (value, value - difference) == tuple(counted)
    _, difference, low, high, p, control = found["save_rate"]
    assert p < 0.001
    assert low > 0
    error = (high - low) / 2 / 1.96  # of the difference; that of EFFECT * control is less
    assert abs(difference - EFFECT * control) < 5 * error, "the effect that was made"
    verify(settings)
