"""Exact after every fault: whole workers on the real engines, killed, multiplied, cut off; then `verify` recounts."""

import csv
import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from schemas.actions import Action
from sinks.clickhouse import ClickHouseSink
from streams.settings import Settings
from tests.e2e.running import emulating, pintally, progress, verify, wait_caught_up, wait_for, workers
from tests.engines import TestEngines

TRAFFIC = ("--duplicates", "0.02", "--late", "0.005", "--broken", "0.005")


def counted(settings: Settings) -> Mapping[str, int]:
    """Counted events of each action, as the tables hold them."""
    cells = ClickHouseSink(settings.clickhouse).read_cells()
    return {action.label: int(cells.count[cells.action == action].sum()) for action in Action}


def finish(traffic: "object", timeout: float = 120.0) -> Mapping[str, int]:
    """Wait for an emulator's end; what it says it sent, by fate."""
    out, err = traffic.communicate(timeout=timeout)  # type: ignore[attr-defined]
    assert traffic.returncode == 0, err  # type: ignore[attr-defined]
    fates: Mapping[str, int] = json.loads(out.strip().splitlines()[-1])["fates"]
    return fates


@pytest.mark.parametrize("events", [100_000])
def test_counts_are_exact_after_five_kills_at_different_moments(stack: Settings, tmp_path: Path, events: int) -> None:
    settings = stack.model_copy(update={"slice_records": 10_000})
    traffic = emulating(settings, "--events", str(events), "--rate", "12000", "--seed", "7", *TRAFFIC)
    with workers(settings, tmp_path) as start:
        for kill in range(5):
            worker = start()
            target = progress(settings)[0] + 2_000 * (kill + 1)
            wait_for(lambda: progress(settings)[0] >= target or traffic.poll() is not None, 60, "worker counts")
            time.sleep(0.05 * kill)  # different places within a tick
            worker.kill()
        start()
        fates = finish(traffic)
        wait_caught_up(settings)
    verify(settings)
    assert sum(counted(settings).values()) == fates["counted"]


def test_a_rebalance_from_one_to_three_workers_and_back_is_exact(stack: Settings, tmp_path: Path) -> None:
    settings = stack.model_copy(update={"slice_records": 10_000})
    traffic = emulating(settings, "--events", "60000", "--rate", "5000", "--seed", "8", *TRAFFIC)
    with workers(settings, tmp_path) as start:
        start("one")
        wait_for(lambda: progress(settings)[0] > 3_000, 60, "the first worker counts")
        others = [start("two"), start("three")]
        before = progress(settings)[0]
        wait_for(lambda: progress(settings)[0] > before + 10_000, 60, "three workers count")
        assert others[0].stop() == 0
        others[1].kill()
        fates = finish(traffic)
        wait_caught_up(settings)
    verify(settings)
    assert sum(counted(settings).values()) == fates["counted"]


def test_counting_goes_on_while_clickhouse_is_down_and_is_exact_after(
    stack: Settings, tmp_path: Path, restartable_engines: TestEngines
) -> None:
    traffic = emulating(stack, "--events", "40000", "--rate", "4000", "--seed", "9", *TRAFFIC)
    with workers(stack, tmp_path) as start:
        worker = start()
        wait_for(lambda: progress(stack)[0] > 2_000, 60, "the worker counts")
        restartable_engines.clickhouse.kill()
        fates = finish(traffic)
        assert worker.alive
        restartable_engines.clickhouse.start()
        restartable_engines.clickhouse.wait_ready()
        wait_caught_up(stack)
        assert worker.alive
    verify(stack)
    assert sum(counted(stack).values()) == fates["counted"]


def test_counts_are_exact_after_a_restart_of_kafka(
    stack: Settings, tmp_path: Path, restartable_engines: TestEngines
) -> None:
    with workers(stack, tmp_path) as start:
        start()
        first = finish(emulating(stack, "--events", "20000", "--seed", "10", *TRAFFIC))
        wait_for(lambda: progress(stack)[0] > 5_000, 60, "the worker counts")
        restartable_engines.kafka.stop()
        restartable_engines.kafka.start()
        restartable_engines.kafka.wait_ready()
        second = finish(emulating(stack, "--events", "20000", "--seed", "11", *TRAFFIC))
        wait_caught_up(stack)
    verify(stack)
    assert sum(counted(stack).values()) == first["counted"] + second["counted"]


def test_a_worker_stopped_past_its_session_ends_itself_and_counts_stay_exact(stack: Settings, tmp_path: Path) -> None:
    traffic = emulating(stack, "--events", "60000", "--rate", "4000", "--seed", "12", *TRAFFIC)
    with workers(stack, tmp_path) as start:
        sleeper = start(None)
        wait_for(lambda: progress(stack)[0] > 2_000, 60, "the first worker counts")
        sleeper.signal(signal.SIGSTOP)
        start(None)
        before = progress(stack)[0]
        wait_for(lambda: progress(stack)[0] > before + 4_000, 60, "the second worker took over")
        sleeper.signal(signal.SIGCONT)
        log = tmp_path / "worker.log"
        wait_for(lambda: "longer than a session" in log.read_text(errors="replace"), 60, "the sleeper notices")
        fates = finish(traffic)
        wait_caught_up(stack)
    verify(stack)
    assert sum(counted(stack).values()) == fates["counted"]


def test_sigterm_ends_a_worker_with_everything_recorded(stack: Settings, tmp_path: Path) -> None:
    with workers(stack, tmp_path) as start:
        worker = start()
        finish(emulating(stack, "--events", "5000", "--seed", "13", *TRAFFIC))
        wait_caught_up(stack)
        assert worker.stop() == 0
    verify(stack)


def test_the_sums_equal_the_emulators_own_truth_cell_by_cell(stack: Settings, tmp_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    with workers(stack, tmp_path) as start:
        start()
        finish(emulating(stack, "--events", "20000", "--seed", "14", *TRAFFIC, "--truth", str(truth)))
        wait_caught_up(stack)
    with truth.open() as file:
        expected = {(r["action"], int(r["minute"]), int(r["pin_id"])): int(r["count"]) for r in csv.DictReader(file)}
    cells = ClickHouseSink(stack.clickhouse).read_cells()
    found: dict[tuple[str, int, int], int] = {}
    for action, minute, pin, count in zip(cells.action, cells.minute, cells.pin_id, cells.count, strict=True):
        key = (Action(int(action)).label, int(minute), int(pin))
        found[key] = found.get(key, 0) + int(count)
    assert found == expected


def test_a_worker_without_topics_says_what_to_do(settings: Settings) -> None:
    done = pintally(settings, "worker", timeout=60)
    assert done.returncode == 2
    assert "pintally migrate" in done.stderr
    assert "Traceback" not in done.stderr
