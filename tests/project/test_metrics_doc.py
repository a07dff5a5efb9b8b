"""docs/metrics.md has every metric as it is declared, and the declarations follow Prometheus' conventions."""

import re

import pytest

from pintally.schemas.metrics import METRICS, SERVE, WORKER, Kind, Metric
from tests.support import readme


def test_the_page_is_made_from_the_declarations() -> None:
    page = readme.METRICS.read_text()
    assert page == readme.with_tables(page, readme.metrics()), "run `make readme`"


def test_no_name_is_declared_twice() -> None:
    assert len(METRICS) == len(WORKER) + len(SERVE)


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_names_and_labels_follow_the_conventions(metric: Metric) -> None:
    assert re.fullmatch(r"pintally_[a-z0-9]+(_[a-z0-9]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert not metric.buckets or metric.name.endswith("_seconds")
    assert list(metric.buckets) == sorted(metric.buckets)
    assert metric.help.endswith(".")
    assert not {"le", "instance", "job", "pin", "pin_id", "user", "user_id", "event_id", "reason", "host"} & {
        *metric.labels
    }
