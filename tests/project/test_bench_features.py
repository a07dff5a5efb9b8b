"""The benchmark of tops and features, without engines: its world, what it keeps, its part of the page."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.features_made import Made
from bench.features_page import section
from bench.features_world import BUCKET, DAY, HOUR, World, at
from bench.figures import Figure, Kept


def kept(*figures: Figure, samples: dict[str, list[float]]) -> Kept:
    machine = {"cpu": "c", "cores": 2}
    return Kept("features", "2026-01-01", machine, {"commit": "abc"}, [0.1, 0.2], {"n": 1}, list(figures), samples)


@given(st.integers(1_700_000_000, 1_900_000_000))
def test_the_world_ends_at_the_last_time_of_day_that_has_passed(now: int) -> None:
    world = at(now, 1_000_000, 10)
    assert world.now <= now < world.now + DAY
    assert world.now - world.today == 23 * HOUR + 48 * 60
    assert world.now - BUCKET < world.cut < world.now
    assert world.now - world.first > 46 * HOUR


@given(st.integers(1_700_000_000, 1_900_000_000), st.integers(1_000_000, 10**8))
def test_a_world_has_as_many_events_as_its_cells_need_and_most_of_them_in_the_afternoon(now: int, cells: int) -> None:
    world = at(now, cells, 10)
    hours = {start: world.events(start, HOUR) for start in range(world.first, world.now, HOUR)}
    assert sum(hours.values()) > 1.5 * cells
    assert hours[world.first + 15 * HOUR] == max(hours.values()) > 2 * min(hours.values())


def test_a_world_that_was_made_is_read_back_as_it_was(tmp_path: Path) -> None:
    assert Made.read(tmp_path) is None
    world = World(1_700_000_000, 5, 3)
    made = Made("bench_1", world, "2026-01-01", [0.5, 1.5], [Figure("f", 1.5, "s", at_most=1.0)], {"parts": [1, 2]})
    made.write(tmp_path)
    assert Made.read(tmp_path) == made


def test_each_question_is_a_row_and_what_missed_its_target_is_bold(tmp_path: Path) -> None:
    assert section(tmp_path, "nothing") == "nothing"
    costs = (Figure("one pin, p50", 3, "ms"), Figure("one pin, p95", 13, "ms", at_most=12))
    cpu = Figure("one pin, CPU of ClickHouse", 7, "ms", at_most=8)
    found = kept(*costs, cpu, Figure("sealing", 0.5, "s", at_most=1), samples={"one pin": [3.0, 13.0]})
    (tmp_path / "features.json").write_text(found.to_json())
    text = section(tmp_path, "nothing")
    assert "| one pin (2 runs) | 7 ms (at most 8 ms) | 3 ms | **13 ms** (at most 12 ms) | not measured |" in text
    assert "| sealing | 0.5 s | at most 1 s | yes |" in text
    assert text.count("| one pin") == 1
