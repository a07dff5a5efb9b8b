"""While ClickHouse is away Kafka is the buffer: reading pauses at the budget, and the worker stays in its group."""

import time
from pathlib import Path

from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka.topics import group_members
from pintally.streams.settings import Settings
from tests.e2e.running import READY, Traffic, Worker, progress, verify, wait_caught_up, wait_for, workers
from tests.support.all_cells import all_cells
from tests.support.engines import TestEngines


def pauses(worker: Worker) -> int:
    """1 while reading is paused, 0 while it is not, by the worker's own words."""
    log = worker.log.read_text()
    return log.count("reading pauses") - log.count("reading goes on")


def test_a_full_worker_pauses_past_its_session_and_goes_on_exactly_when_clickhouse_returns(
    stack: Settings, tmp_path: Path, restartable_engines: TestEngines
) -> None:
    settings = stack.changed(max_pending_cells=2_000)
    with workers(settings, tmp_path) as start:
        worker = start(None)
        with Traffic(settings, "--events", "2000", "--seed", "30") as traffic:
            sent = traffic.finish()["counted"]
        wait_caught_up(settings)
        restartable_engines.clickhouse.stop()
        with Traffic(settings, "--events", "30000", "--rate", "10000", "--seed", "31") as traffic:
            wait_for(lambda: pauses(worker) and worker.said("ClickHouse is away"), 60, "reading pauses")
            sent += traffic.finish()["counted"]
        past_its_session = time.monotonic() + settings.worker.session_timeout_seconds * 1.5
        while time.monotonic() < past_its_session:
            assert worker.alive
            assert len(group_members(settings.kafka)) == 1
        assert pauses(worker) == 1
        restartable_engines.clickhouse.start()
        restartable_engines.clickhouse.wait_ready()
        wait_caught_up(settings)
        wait_for(lambda: not pauses(worker), 30, "reading goes on")
        assert worker.alive
        assert worker.log.read_text().count(READY) == 1, "it never left its group"
    verify(settings)
    assert progress(settings)[0] > 30_000
    assert int(all_cells(ClickHouseSink(settings.clickhouse)).events.sum()) == sent
