"""What commands and readers say of two shards is what they say of one server that counted the same log."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pintally.schemas.shards import shard_of
from pintally.serve.verified import read_runs
from pintally.streams.settings import Settings
from pintally.tools.engines import Engines
from tests.e2e.running import ASKED_S, Traffic, pintally, wait_for, workers
from tests.e2e.shards import alone, ask, log_end, over_shards, recorded
from tests.e2e.test_dlq import HOUR_MS, event, now, produce

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

PINS = [int(np.flatnonzero(shard_of(np.arange(1, 100, dtype=np.uint64), 2) == number)[0]) + 1 for number in (0, 1)]
ON_TIME, BROKEN, LATE = ([str(uuid.uuid4()) for _ in PINS] for _ in range(3))  # events of a pin on each shard
SEALED = """
SELECT
    (SELECT count() FROM {database}.sealed WHERE resolution = 'hour'),
    (SELECT max(cut) FROM {database}.cuts) >= (
        SELECT toStartOfInterval(min(reached), INTERVAL 10 MINUTE) - INTERVAL 10 MINUTE
        FROM (
            SELECT fromUnixTimestamp64Milli(max(stream_time), 'UTC') AS reached
            FROM {database}.ingest_ledger GROUP BY source
        )
    )
"""


@dataclass(frozen=True)
class Counted:
    """One log, counted over two shards and by one server."""

    shards: Settings
    one: Settings


@pytest.fixture(scope="module")
def counted(two_shards: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    """The log of some hours with records of all outcomes; its workers are stopped, and hours are sealed."""
    folder = tmp_path_factory.mktemp("counted")
    with over_shards(two_shards, folder) as shards:
        name = f"{shards.clickhouse.database}one"
        one = alone(shards, 0).changed(clickhouse_database=name, kafka_group_id=name)
        done = pintally(one, "migrate")
        assert done.returncode == 0, done.stderr
        with Traffic(shards, "--events", "20000", "--span", "240", "--pins", "500") as traffic:
            traffic.finish()
        timely = [event(str(pin), event_id=each) for pin, each in zip(PINS, ON_TIME, strict=True)]
        late = [event(str(pin), now() - 5 * HOUR_MS, each) for pin, each in zip(PINS, LATE, strict=True)]
        produce(shards, [*timely, *timely, *late, *(event("five", event_id=each) for each in BROKEN)])
        for settings in (shards, one):
            count(settings, folder / settings.clickhouse.database)
        yield Counted(shards, one)


def count(settings: Settings, folder: Path) -> None:
    """Count the whole log, and seal what is final."""
    folder.mkdir()
    with workers(settings, folder) as start:
        worker = start()
        wait_for(lambda: is_recorded(settings), 120, "each ledger is at the end of the log", ASKED_S)
        wait_for(lambda: is_sealed(settings), 60, "hours are sealed and cuts published", ASKED_S)
        assert worker.stop() == 0


def is_recorded(settings: Settings) -> bool:
    return set(recorded(settings)) == {log_end(settings)}


def is_sealed(settings: Settings) -> bool:
    """Whether each server has sealed two hours, and published the last cut but one that the log reaches."""
    return all(ask(each, SEALED) >= [(2, 1)] for each in settings.clickhouse.shards)


def said(settings: Settings, *command: str, code: int = 0) -> Any:
    done = pintally(settings, *command, "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def explained(settings: Settings, event_id: str) -> list[dict[str, Any]]:
    """What is said of each record, without what depends on when a worker flushed."""
    records: list[dict[str, Any]] = said(settings, "explain", event_id)["records"]
    for record in records:
        if (cell := record["cell"]) and cell["stored"]:
            assert cell["stored"]["events"] == cell["recounted"] > 0
            del cell["stored"], cell["below"], cell["recounted"], cell["recounted_trusted"]
    return records


def test_explain_says_of_each_pin_what_one_server_says(counted: Counted) -> None:
    for number, (timely, broken, late) in enumerate(zip(ON_TIME, BROKEN, LATE, strict=True)):
        for event_id, outcomes in ((timely, ["counted", "duplicate"]), (broken, ["invalid"]), (late, ["late"])):
            found = explained(counted.shards, event_id)
            assert [record["outcome"] for record in found] == outcomes
            assert [bool(record["letter"]) for record in found] == [
                outcome in ("invalid", "late") for outcome in outcomes
            ]
            for record in found:
                assert record["cell"] is None or record["cell"].pop("shard") == number
            alike = explained(counted.one, event_id)
            for record in alike:
                assert record["cell"] is None or record["cell"].pop("shard") is None
            assert found == alike
    words = pintally(counted.shards, "explain", ON_TIME[1]).stdout
    assert f"of pin {PINS[1]} in the minute of" in words
    assert ", shard 1" in words


def test_verify_draws_the_same_slices_of_each_shard_and_writes_metrics_of_all(counted: Counted, tmp_path: Path) -> None:
    file = tmp_path / "pintally.prom"
    sampled = ("verify", "--sample", "0.3", "--seed", "5", "--processes", "1", "--metrics", str(file))
    first, second = said(counted.shards, *sampled)["shards"]
    assert first["sample"] == second["sample"]
    assert 0 < first["sample"]["drawn"] < first["sample"]["slices"]
    assert first["records"] == second["records"] > 0
    assert {one["slices"] for one in first["sources"]} == {one["slices"] for one in second["sources"]}
    [run] = read_runs([file]).each()
    assert (run.scope, run.records, run.differences) == ("sample", first["records"], 0)
