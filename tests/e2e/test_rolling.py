"""All workers replaced one by one under load: partitions stay, each source is restored once, every count is exact."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pintally.schemas.actions import Action
from pintally.streams.settings import Settings
from tests.e2e.running import READY, Traffic, Worker, pintally, verify, wait_caught_up, wait_for, workers

WORKERS, SLICE_RECORDS = 3, 2_000
RATE = "400"


def begun(worker: Worker) -> list[dict[str, Any]]:
    """Its lines that say that counting begins, or goes on after a rebalance."""
    lines = worker.log.read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if READY in line and line.endswith("}")]


def held(worker: Worker) -> set[tuple[str, str]]:
    """The partitions of each topic that it has, as it said before its counting last began or went on."""
    found, said = set[tuple[str, str]](), set[tuple[str, str]]()
    for line in worker.log.read_text(errors="replace").splitlines():
        if '"replay_partitions"' in line:
            each = json.loads(line)
            said.add((each["topic"], str((each["partitions"], each["replay_partitions"]))))
        elif READY in line:
            found, said = said, set()
    return found


@pytest.fixture
def many(stack: Settings) -> Settings:
    """A session that no busy machine outlasts, and logs of more than two slices a source."""
    return stack.changed(session_timeout_seconds=60.0, slice_records=SLICE_RECORDS, log_format="json")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["again", "beside"])
def test_an_upgrade_restores_each_source_once_and_moves_none(many: Settings, tmp_path: Path, way: str) -> None:
    sources = len(Action) * (many.topics.partitions + 1)  # a replay topic has one
    with workers(many, tmp_path) as start:
        running = [start(f"worker-{number}") for number in range(WORKERS)]
        for worker in running:
            wait_for(partial(begun, worker), 60, "it counts")
        assert pintally(many, "emulate", "--events", "60000").returncode == 0
        with Traffic(many, "--rate", RATE) as traffic:
            wait_for(
                lambda: sum(begun(worker)[-1]["sources"] for worker in running) == sources, 60, "all are given out"
            )
            for number in reversed(range(WORKERS)):
                running[number] = replaced(start, running, number, way)
            traffic.stop()
        wait_caught_up(many)
        assert all(worker.alive for worker in running)
        assert sum(len(begun(worker)) for worker in running) >= WORKERS
    assert verify(many)["exact"]


def replaced(start: Callable[[str], Worker], running: list[Worker], number: int, way: str) -> Worker:
    """A new worker in the place of one: it has the same partitions, and no other worker restores any."""
    old, before = running[number], held(running[number])
    others = [worker for worker in running if worker is not old]
    known = [len(begun(worker)) for worker in others]
    if way == "again":
        assert old.stop() == 0
    new = start(f"worker-{number}")
    wait_for(lambda: begun(new), 60, "the new one counts")
    wait_for(lambda: not old.alive, 60, "the old one has ended")
    assert held(new) == before
    said = begun(new)
    assert said[0]["restored"] == said[0]["sources"]
    assert said[0]["records_again"] <= 2 * SLICE_RECORDS * said[0]["sources"]
    again = [line for worker, count in zip(others, known, strict=True) for line in begun(worker)[count:]]
    assert [line["restored"] for line in [*said[1:], *again]] == [0] * len([*said[1:], *again])
    return new
