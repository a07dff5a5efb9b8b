"""Figures of benchmarks: what is met, what is kept, and events that are what they claim to be."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from numpy.random import default_rng

from bench.capacity import Measured, cost, nearest, need
from bench.figures import Figure, Kept, markdown, percentile
from bench.live import FIRST_PIN, Mix, shaped, values
from bench.shapes import SHAPES, Shape
from pintally.schemas.actions import Action
from pintally.schemas.decoding.decoder import decode
from pintally.schemas.decoding.values import Values
from pintally.schemas.events import validate


def kept(*figures: Figure) -> Kept:
    return Kept("b", "2026-01-01", {"cpu": "c", "cores": 2}, {"commit": "abc"}, [0.1, 0.2], {"n": 1}, list(figures))


@pytest.mark.parametrize(
    ("value", "target", "met"),
    [
        (1.0, {}, None),
        (1.0, {"at_most": 1.0}, True),
        (1.1, {"at_most": 1.0}, False),
        (0.7, {"at_least": 0.75, "at_most": 1.3}, False),
        (1.0, {"at_least": 0.75, "at_most": 1.3}, True),
    ],
)
def test_a_target_is_met_up_to_its_limit(value: float, target: dict[str, float], met: bool | None) -> None:
    assert Figure("f", value, "s", **target).met is met


def test_a_result_that_was_written_is_read_back_as_it_was() -> None:
    whole = kept(Figure("f", 1.5, "s", at_most=1.0), Figure("g", 2, "rows"))
    assert Kept.from_json(whole.to_json()) == whole
    assert json.loads(whole.to_json())["figures"][0]["met"] is False
    assert "| f | 1.5 s | at most 1 s | **no** |" in markdown(whole)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_the_smallest_value_that_the_share_does_not_exceed(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


@pytest.mark.parametrize("action", list(Action))
def test_every_event_is_valid_and_says_what_it_was_made_of(action: Action) -> None:
    rng = default_rng(1)
    pins = Mix(pins=50).draw(rng, 100)
    occurred = np.arange(1_700_000_000_000, 1_700_000_000_100)
    keys, texts = values(rng, action, pins, occurred)
    decoded = decode(Values.of(list(texts)), action)
    assert decoded.valid.all()
    assert decoded.pin_id.tolist() == pins.tolist() == [int(key) for key in keys]
    assert decoded.occurred_at.tolist() == occurred.tolist()
    assert len(np.unique(decoded.event_id, axis=0)) == 100
    assert pins.min() >= FIRST_PIN


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_live_events_of_every_shape_are_valid_and_say_what_they_were_made_of(shape: Shape) -> None:
    pins = Mix(pins=50).draw(default_rng(1), 100)
    occurred = np.arange(1_700_000_000_000, 1_700_000_000_100)
    keys, texts = shaped(default_rng(1), Action.CLICK, pins, occurred, shape)
    events = [validate(text, Action.CLICK) for text in texts]
    assert [event.pin_id for event in events] == pins.tolist() == [int(key) for key in keys]
    assert [event.occurred_at for event in events] == occurred.tolist()
    assert len({event.event_id for event in events}) == 100


def test_a_hot_pin_gets_its_share() -> None:
    pins = Mix(pins=1_000_000, hot=0.5).draw(default_rng(2), 10_000)
    assert 0.45 < np.unique(pins, return_counts=True)[1].max() / len(pins) < 0.6


def test_what_a_rate_takes_follows_from_the_rate_measured_below_it() -> None:
    slow, fast = Measured(10, 20.0, 2.0, 1.0, 0.5, 8.0, 200.0), Measured(1000, 5.0, 1.0, 1.0, 0.4, 8.0, 200.0)
    assert [nearest([slow, fast], rate) for rate in (5, 10, 999, 1000, 10**6)] == [slow, slow, slow, fast, fast]
    asked = need(1_000_000, fast, used=0.5, kept_days=2)
    assert (asked.worker_cores, asked.workers, asked.clickhouse_cores, asked.rows_a_second) == (5.0, 10, 1.0, 400_000)
    assert asked.disk_gb_kept == pytest.approx(2 * 86_400 * 8e6 / 1e9)
    assert cost(fast, None).worker_cpu_hours == pytest.approx(5000 / 3600)


def test_results_that_are_kept_can_be_read() -> None:
    results = Path(__file__).parents[2] / "bench" / "results"
    for name in (
        "steady",
        "freshness",
        "recovery",
        "memory",
        "scale",
        "rows",
        "views",
        "features",
        "experiments",
        "users",
    ):
        if (results / f"{name}.json").exists():
            assert Kept.from_json((results / f"{name}.json").read_text()).figures


def test_who_computes_from_what_was_not_measured_yet_is_told_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match=r"steady.json is not there: run `python -m bench.steady` first"):
        Kept.read(tmp_path, "steady")
