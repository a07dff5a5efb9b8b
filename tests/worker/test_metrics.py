"""What a scrape shows of a worker whose sources come and go."""

from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, Info, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bench.scrape import RECORDS, worker
from pintally.streams.http.exposition import text_of
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


class AtOnce(Collector):
    """What a registry had at one moment."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._metrics = list(registry.collect())

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def test_a_scrape_is_what_the_library_would_write() -> None:
    registry = registry_of(Health(Stage.RUNNING), worker(SOURCES), "one")
    odd = Gauge("odd", 'a \\ help\nof "two" lines', ("b", "a"), registry=registry)
    for value, number in (('q"uo\\te\n', float("nan")), ("é", float("inf")), ("", -1e300), ("x", 12_345_678.0)):
        odd.labels(value, "1").set(number)
    found = AtOnce(registry)
    assert text_of(found) == generate_latest(found)


def test_a_type_that_no_metric_of_ours_has_is_not_written_as_another() -> None:
    registry = CollectorRegistry()
    Info("other", "A type that there is not.", registry=registry)
    with pytest.raises(TypeError, match="other"):
        text_of(registry)
