"""The notebooks run as they stand, with the rights of readers, in an environment without a worker."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pintally.streams.settings import Settings
from tests.support.notebook import EFFECT, EXPERIMENT, TRAINING, execute

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600), pytest.mark.xdist_group("examples")]


def cells(notebook: Path) -> list[Any]:
    return list(json.loads(notebook.read_text(encoding="utf-8"))["cells"])


def texts(cell: Any) -> str:
    """What a cell printed or showed."""
    outputs = cell.get("outputs", [])
    return "".join("".join(out.get("text", out.get("data", {}).get("text/plain", []))) for out in outputs)


def test_the_notebook_shows_what_hindsight_costs(reading: Settings, tmp_path: Path) -> None:
    made = tmp_path / "training.ipynb"
    execute(TRAINING, made, reading)
    shown = [texts(cell) for cell in cells(made)]
    pictures = [out for cell in cells(made) for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    [table] = [text for text in shown if "log loss" in text]
    scores = [[float(score) for score in line.split()[-2:]] for line in table.splitlines()[1:]]
    assert len(pictures) == 2
    assert any("all equal" in text for text in shown)
    (promised, loss_promised), (kept, loss_kept), (honest, loss_honest) = scores
    assert promised > max(kept, honest), "with hindsight it looks best"
    assert loss_promised < loss_honest < loss_kept, "and is furthest off when it runs"


def test_the_notebook_of_an_experiment_finds_its_effect_and_shows_what_looks_do(
    reading: Settings, tmp_path: Path
) -> None:
    made = tmp_path / "experiment.ipynb"
    execute(EXPERIMENT, made, reading)
    shown = [texts(cell) for cell in cells(made)]
    pictures = [out for cell in cells(made) for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    assert len(pictures) == 2
    assert any("alarm: False" in text for text in shown)
    [told] = [text for text in shown if "decision:" in text]
    assert "ship" in told
    _, low, high = (int(number) for number in re.findall(r"([+-]\d+)%", told))
    assert 0 < low < high
    assert 1.5 * low - 0.5 * high <= 100 * EFFECT <= 1.5 * high - 0.5 * low, f"within four standard errors: {told}"
    [table] = [text for text in shown if "bound of |z|" in text]
    looks = {line[:20].strip(): [float(word) for word in line.split()[-3:]] for line in table.splitlines()[1:]}
    once, daily, hourly = looks.values()
    assert 0.04 < once[1] < 0.06 < 0.15 < daily[1] < hourly[1], "a look more is a chance more to be wrong"
    assert once[2] < daily[2] < hourly[2]
