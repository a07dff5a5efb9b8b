"""A worker whose clock is wrong, as a whole process: it seals nothing early, and says so."""

import json
import sys
import time
from pathlib import Path

import pytest

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing.reopen import sealed_until
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings
from pintally.tools.python import module
from tests.e2e.running import pintally, run, verify, wait_caught_up, wait_for, workers
from tests.sinks.sealing import DAY, HOUR, TODAY, some_cells, write

SHIFTED = (sys.executable, "-m", "tests.support.shifted_clock")  # before anything else is imported


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.changed(seal_seconds=0.5)


def how_far(settings: Settings) -> int:
    with Connection(settings.clickhouse, 30) as connection:
        return sealed_until(connection)


def shifted(settings: Settings, off: int, *arguments: str) -> str:
    """What a command says on a machine whose clock is so many seconds ahead."""
    done = run([*module("tests.support.shifted_clock"), str(off), *arguments], settings)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("off", "side"), [(3 * HOUR, "ahead of"), (-2 * DAY, "behind")])
def test_a_worker_seals_by_the_earlier_of_two_clocks_and_names_the_difference(
    stack: Settings, tmp_path: Path, off: int, side: str
) -> None:
    """All sources are idle, so nothing but the time of day holds back."""
    write(stack.clickhouse, some_cells(start=TODAY - 5 * DAY))
    held_back = stack.rules.allowed_lateness_seconds + stack.worker.idle_margin_seconds - min(0, off)
    with workers(stack, tmp_path) as start:
        worker = start(command=(*SHIFTED, str(off), "worker"))
        expected = (int(time.time()) - held_back) // HOUR * HOUR
        wait_for(lambda: how_far(stack) >= expected, 60, "hours to be sealed")
        found = how_far(stack)
        assert found <= (int(time.time()) - held_back) // HOUR * HOUR, "sealed before its time"
        assert worker.said(f"the clock of this machine is {abs(off):,} s {side} ClickHouse's")
        assert worker.log.read_text().count("the clock of this machine") == 1, "once, and then now and then"
        worker.kill()
    assert f"the clock of this machine is {abs(off):,} s {side} ClickHouse's" in shifted(stack, off, "status")
    told = json.loads(shifted(stack, off, "status", "--json"))["clocks"]
    assert abs(told["ahead_of_clickhouse_ms"] / 1000 - off) < 30
    assert len(told["differences"]) == 1


def test_what_was_sealed_too_early_is_named_by_verify_and_opened_by_the_next_worker(
    stack: Settings, tmp_path: Path
) -> None:
    """As a version sealed that trusted its own clock."""
    running = int(time.time()) // HOUR * HOUR
    with workers(stack, tmp_path) as start:
        first = start()
        first.wait_ready()
        assert pintally(stack, "emulate", "--events", "200").returncode == 0
        wait_caught_up(stack)
        first.kill()
        seal(stack.clickhouse, running + HOUR)
        found = json.loads(pintally(stack, "verify", "--json").stdout)
        assert (found["exit_code"], list(found["findings"])) == (1, ["sealed_early"])
        start()
        wait_for(lambda: how_far(stack) < running, 60, "the early hour to be opened")
        verify(stack)
    recent = json.loads(shifted(stack, 3 * DAY, "verify", "--json", "--since-hours", "24"))
    assert recent["records"] == 200, "the last hours are those of ClickHouse's clock"
