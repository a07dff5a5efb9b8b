"""What a scrape shows of a worker whose sources come and go."""

from typing import Any

from prometheus_client import generate_latest

from bench.scrape import RECORDS, worker
from pintally.streams.worker.health import Health, Stage
from pintally.streams.worker.serving import registry_of
from tests.support.scrape import Series, series_of, total

SOURCES = 12


def shown(app: Any, stage: Stage = Stage.RUNNING) -> Series:
    return series_of(generate_latest(registry_of(Health(stage), app)).decode())


def gauges(series: Series) -> set[tuple[str, ...]]:
    """(partition, topic) of the sources that have any gauge."""
    lags = {labels for name, labels in series if name == "pintally_worker_source_lag_seconds"}
    offsets = {labels[::2] for name, labels in series if name == "pintally_worker_source_offset"}
    return lags | offsets


def test_a_source_that_left_has_no_series_and_takes_nothing_from_the_counters() -> None:
    app = worker(SOURCES)
    before = shown(app)
    assert len(gauges(before)) == SOURCES
    assert total(before, "pintally_worker_records_total") == SOURCES * RECORDS
    left = app.tables.leave()
    after = shown(app)
    assert gauges(before) - gauges(after) == {(str(left.source.partition), left.source.topic)}
    assert total(after, "pintally_worker_records_total") == SOURCES * RECORDS
    assert after["pintally_worker_partitions", ("assigned",)] == SOURCES - 1


def test_a_worker_that_does_not_run_shows_no_source() -> None:
    app = worker(SOURCES)
    for stage in (Stage.STARTING, Stage.STOPPING):
        series = shown(app, stage)
        assert gauges(series) == set()
        assert series["pintally_worker_last_flush_timestamp_seconds", ()] > 0
    waiting = shown(None, Stage.WAITING)
    assert waiting["pintally_worker_engine_away_seconds", ("kafka",)] == 0
