"""What flushes measure of themselves."""

import pytest

from pintally.streams.worker.measured import STEPS
from tests.support.faulty_sink import Fault
from tests.support.logs import T0
from tests.worker.test_flush import Bench, unavailable

AGO = T0 / 1000


def value(bench: Bench, histogram: str, name: str) -> float:
    """The sum of all samples of a histogram whose names end so."""
    [metric] = getattr(bench.flusher.measured, histogram).collect()
    return float(sum(sample.value for sample in metric.samples if sample.name.endswith(name)))


def test_a_flush_measures_its_steps_and_how_old_the_oldest_record_is_when_the_ledger_has_answered() -> None:
    bench = Bench(sources=2)
    bench.feed(1, 2)
    bench.feed(3, fold=1)
    before = bench.flusher.measured.last_at
    assert bench.flush()
    measured = bench.flusher.measured
    assert measured.outcomes == {"flushed": 1, "failed": 0, "empty": 0}
    assert value(bench, "seconds", "_count") == 1
    assert value(bench, "steps", "_count") == len(STEPS)
    assert value(bench, "freshness", "_count") == 3  # each record, by the oldest of its source
    assert value(bench, "freshness", "_sum") == pytest.approx(3 * (measured.last_at - AGO))
    assert measured.last_at >= before


def test_a_flush_that_failed_shows_nothing_and_its_records_are_as_old_as_they_are() -> None:
    bench = Bench()
    bench.feed(1)
    before = bench.flusher.measured.last_at
    bench.sink.fault = Fault("cells", unavailable, False)
    assert not bench.flush()
    measured = bench.flusher.measured
    assert (measured.outcomes["failed"], value(bench, "freshness", "_count"), measured.last_at) == (1, 0, before)
    assert value(bench, "seconds", "_count") == 0
    bench.sink.fault = None
    assert bench.flush()
    assert value(bench, "freshness", "_sum") == measured.last_at - AGO


def test_a_flush_with_nothing_to_flush_is_counted_as_empty_and_without_sources_it_is_no_outage() -> None:
    bench = Bench()
    before = bench.flusher.measured.last_at
    assert bench.flush()
    assert (bench.flusher.measured.outcomes["empty"], bench.flusher.measured.last_at) == (1, before)  # nobody asked
    bench.folds = []
    assert bench.flush()
    assert bench.flusher.measured.last_at > before
