"""What the benchmark concludes from its measurements."""

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.contestants import CONTESTANTS, choose
from bench.figures import Figure, Kept
from bench.guard import ROOM, Guarded, is_slower, keep_these, read, slower
from bench.marginal import columns, figure
from bench.measured import Measured
from bench.outcome import Entry, Failure, Results
from bench.performance import PAGE, page
from bench.plot import freshness, throughput
from bench.report import crashes, markdown, targets
from bench.shapes import SHAPES
from bench.spread import spread
from bench.targets import TARGETS, verdicts


def measured(contestant: str, run: int, rate: int, wrong: int | None = 0, landed: int = 1000) -> Measured:
    return Measured(contestant, run, 1000, 1000 / rate, 2000 / rate, 2**20, 0.5, None, landed, wrong, 0.1 * run)


def results(*runs: Measured, failures: tuple[Failure, ...] = ()) -> Results:
    entries = [Entry(each.name, each.title, each.crash) for each in CONTESTANTS]
    machine: dict[str, str | int] = {"cpu": "a CPU", "cores": 2, "memory_gib": 8}
    work = {"events": 1000, "cells": 7, "pins": 3, "partitions": 4}
    return Results("2026-01-01T00:00:00+00:00", machine, {"kafka": "4.1"}, work, entries, list(runs), list(failures))


def test_results_read_back_are_the_same() -> None:
    whole = results(measured("pintally", 1, 10), failures=(Failure("quix", 1, "it ended"),))
    assert Results.from_json(whole.to_json()) == whole


def test_every_target_names_contestants_that_there_are() -> None:
    names = {each.name for each in CONTESTANTS}
    assert {peer for target in TARGETS for peer in target.peers} <= names
    assert len(names) == len(CONTESTANTS)


def test_ratios_are_of_the_same_run() -> None:
    disturbed = results(
        *(measured("pintally", run, rate) for run, rate in ((1, 900), (2, 300), (3, 600))),
        *(measured("flink", run, rate) for run, rate in ((1, 300), (2, 100), (3, 200))),
    )
    flink = next(each for each in verdicts(disturbed) if "Flink" in each.asked)
    assert (flink.measured, flink.low, flink.high) == pytest.approx((3, 3, 3))
    assert flink.met


def test_of_several_peers_the_fastest_is_the_one_to_beat() -> None:
    run = results(measured("pintally", 1, 1000), measured("streams", 1, 100), measured("streams-memory", 1, 500))
    streams = next(each for each in verdicts(run) if "Streams" in each.asked and each.measured)
    assert (streams.of, streams.met) == ("streams-memory", False)
    assert streams.measured == pytest.approx(2)


def test_a_target_without_its_peer_is_not_met_but_not_measured() -> None:
    table = targets(results(measured("pintally", 1, 600_000)))
    assert "| own | 500,000 | 600,000 (600,000 to 600,000) | Pintally, 1 worker | yes |" in table
    assert table.count("not measured") == len(TARGETS)


def test_the_report_shows_wrong_counts_even_of_one_run_in_five() -> None:
    runs = [measured("quix", run, 100) for run in range(1, 5)]
    text = markdown(results(*runs, measured("quix", 5, 100, wrong=4, landed=900)))
    assert "**wrong** in 1 of 5: 900 of 1,000 landed" in text
    assert "all equal" in markdown(results(*runs))


def test_the_report_shows_the_median_the_spread_and_who_is_missing() -> None:
    runs = [measured("pintally", run, rate) for run, rate in ((1, 100), (2, 400), (3, 200))]
    text = markdown(results(*runs, failures=(Failure("flink", None, "needs mvn\nmore"),)))
    assert "**200** (100 to 400)" in text
    assert re.search(r"- Flink.*, left out: needs mvn$", text, re.MULTILINE)
    assert "500.00" in text, "the broker's CPU-seconds a million events"


def test_every_contestant_that_lands_says_what_a_crash_does() -> None:
    table = crashes(results())
    assert all(f"| {each.title} |" in table for each in CONTESTANTS if "raw" not in each.name)


def test_a_target_of_one_shape_is_compared_on_its_log_only() -> None:
    arms = [replace(measured(name, 1, rate), shape="arms") for name, rate in (("pintally", 600), ("flink", 100))]
    run = results(measured("pintally", 1, 900), measured("flink", 1, 300), *arms)
    flink = [each for each in verdicts(run) if "Flink" in each.asked]
    assert {each.shape: each.measured for each in flink} == pytest.approx({"own": 3, "arms": 6})
    assert all(each.met for each in flink)
    assert markdown(run).index("Shape `own`") < markdown(run).index("Shape `arms`")


def test_without_shapes_the_slow_peers_run_on_the_own_log_only() -> None:
    def chosen(shape: str, asked: bool) -> set[str]:
        return {each.name for each in choose(SHAPES[shape], None, asked)}

    assert chosen("own", False) == chosen("arms", True) == {each.name for each in CONTESTANTS}
    assert {"pintally", "flink", "clickhouse", "aiokafka-raw", "confluent-raw"} <= chosen("arms", False)
    assert not {"faust", "quix"} & chosen("arms", False)


def test_the_guard_speaks_only_when_the_ratio_fell_clearly() -> None:
    kept = Guarded(1, [0.5, 0.6, 0.7])
    assert not is_slower(Guarded(1, [0.1, 0.6 * (1 - ROOM) + 0.001, 0.9]), kept)
    assert is_slower(Guarded(1, [0.1, 0.6 * (1 - ROOM) - 0.001, 0.9]), kept)


def test_the_guard_names_the_shapes_that_fell_and_keeps_those_it_did_not_measure(tmp_path: Path) -> None:
    path = tmp_path / "guard.json"
    assert read(path) == {}
    keep_these({"arms": Guarded(1, [0.8]), "own": Guarded(1, [1.0])}, path)
    keep_these({"arms": Guarded(1, [0.6])}, path)
    assert read(path) == {"own": Guarded(1, [1.0]), "arms": Guarded(1, [0.6])}
    now = {"own": Guarded(1, [1.0]), "arms": Guarded(1, [0.3]), "large": Guarded(1, [0.1])}
    assert slower(now, read(path)) == ["arms"]


def test_the_spread_leads_the_page_with_the_slowest_shape_and_says_what_is_not_measured(tmp_path: Path) -> None:
    assert "**The spread is not measured yet**" in spread(tmp_path)
    figures = [Figure("own: a value", 171, "bytes")]
    samples = {"own": [0.5, 1.0, 2.0], "arms": [4.0]}
    machine = {"cpu": "a CPU", "cores": 2}
    kept = Kept("marginal", "2026-01-01", machine, {"commit": "abc"}, [0.1, 0.2], {"rounds": 3}, figures, samples)
    (tmp_path / "marginal.json").write_text(kept.to_json())
    keep_these({"own": Guarded(1, [1.9])}, tmp_path / "guard.json")
    (tmp_path / "peers.json").write_text(results(measured("pintally", 1, 900), measured("flink", 1, 300)).to_json())
    text = page(tmp_path)
    assert "From 4.00 us an event (`arms`, 250,000 events a CPU-second) to 1.00 us (`own`, 1,000,000)" in text
    assert "costs 4.0 times the fastest.** Not measured: `sorted`" in text
    order = [shape for shape, _ in re.findall(r"^\| `([a-z-]+)`: (.*)$", text, re.MULTILINE)]
    assert order[:3] == ["arms", "own", "sorted"]
    assert "| 171 | 1.00 (0.50 to 2.00) | 1.90 (1.90 to 1.90) | not measured | 3.0 (3.0 to 3.0) |" in text
    assert text.index("The spread") < text.index("Beside its peers")


def test_of_shapes_in_one_column_the_slowest_is_shown_beside_what_was_asked() -> None:
    figures = [Figure(figure(name), value, "us") for name, value in (("own", 0.9), ("sorted", 1.05), ("spaced", 1.2))]
    text = columns(Kept("marginal", "", {}, {}, [], {}, figures))
    assert "|  | own order | sorted, shuffled, spaced |" in text
    assert "| asked, us an event | 1.00 | 1.10 |" in text
    assert "| measured | 0.90 | 1.20 |" in text


def test_plots_are_svg_with_every_contestant_that_ran() -> None:
    run = results(measured("pintally", 1, 500_000), measured("faust", 1, 3_000), measured("aiokafka-raw", 1, 600_000))
    drawn = "".join(ElementTree.fromstring(throughput(run)).itertext())
    assert all(each in drawn for each in ("Pintally, 1 worker", "Faust, idiomatic", "3,000", "500,000"))
    assert "Flink" not in drawn
    assert "p99 1.00 s" in "".join(ElementTree.fromstring(freshness([(0.0, 0.5), (1.0, 1.0)])).itertext())


def test_the_page_says_what_the_kept_results_say() -> None:
    assert PAGE.read_text() == page(), "run `make performance`"


def test_a_page_without_results_names_the_commands_that_make_them(tmp_path: Path) -> None:
    assert "`make bench`" in page(tmp_path)
    assert not re.search(r"\d us", page(tmp_path))


def test_the_page_is_made_of_results(tmp_path: Path) -> None:
    runs = [measured("pintally", 1, 500_000), measured("aiokafka-raw", 1, 1_000_000)]
    (tmp_path / "peers.json").write_text(results(*runs).to_json())
    cost = {"median": 0.25, "lowest": 0.2, "highest": 0.3}
    (tmp_path / "profile.json").write_text(
        json.dumps(
            {
                "parts": {"a whole worker, us": {"own": {"decode": cost}, "arms": {"decode": cost}}},
                "about": {"rounds": 3},
            }
        )
    )
    text = page(tmp_path)
    assert "costs a worker 2.00 us in all, beside 1.00 us for aiokafka's own" in text
    assert "| decode | 0.250 (0.200 to 0.300) | 0.250 (0.200 to 0.300) |" in text
    assert "rounds: 3." in text
