"""The JSON of both dashboards: as the code makes it, as Grafana's own types have it, and what its queries name."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.cog.runtime import Runtime
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.__main__ import files
from deploy.grafana.clickhouse import variant
from pintally.schemas.metrics import METRICS
from tests.support.dashboards import FOLDER, Asked, dashboard, panels, promql, queries
from tests.support.promql import kept, metrics, unknown

NAMES = ("counting", "engagement")
COUNTING = list(queries("counting"))
NOT_SHOWN = {
    "pintally_worker_start_time_seconds",  # an alert counts its changes
    "pintally_worker_process_id",  # the page names it, where it hangs
    "pintally_worker_source_offset",  # shown as pintally_source_offset, for all sources
    "pintally_worker_source_lag_seconds",  # shown as pintally_source_lag_seconds
    "pintally_verified_records",  # the page shows it
    "pintally_verified_share",  # its label says whether it was all
}


@pytest.fixture(scope="module", autouse=True)
def _types() -> None:
    register_default_plugins()
    Runtime().register_dataquery_variant(variant())


@pytest.mark.parametrize("file", files(), ids=lambda file: file.stem)
def test_the_file_is_what_the_code_makes(file: Path) -> None:
    assert file.read_text() == files()[file], "run: make dashboards"


def test_there_is_no_other_file() -> None:
    assert set(FOLDER.iterdir()) == set(files())


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_one_that_grafana_knows(name: str) -> None:
    """Grafana's types drop what they do not know, so nothing may be missing when they have read and written it."""
    read = Dashboard.from_json(dashboard(name))
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == dashboard(name)


@pytest.mark.parametrize("name", NAMES)
def test_panels_do_not_overlap_and_fill_24_columns_at_most(name: str) -> None:
    places = [panel["gridPos"] for panel in dashboard(name)["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


@pytest.mark.parametrize("name", NAMES)
def test_each_panel_has_an_id_a_title_and_words_that_explain_it(name: str) -> None:
    ids = [panel["id"] for panel in dashboard(name)["panels"]]
    assert len(set(ids)) == len(ids)
    assert [panel["title"] for panel in panels(name) if not panel["description"].endswith(".")] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_data_source_is_named_by_the_variable_alone(name: str) -> None:
    found = [each["uid"] for each in _data_sources(dashboard(name))]
    assert set(found) == {"${datasource}"}
    assert len(found) >= len(panels(name))


@pytest.mark.parametrize("asked", COUNTING, ids=str)
def test_a_query_names_only_metrics_and_labels_that_are_declared(asked: Asked) -> None:
    assert unknown(promql(asked.query)) == []


def test_an_undeclared_metric_or_label_is_found() -> None:
    assert unknown("rate(pintally_recods_total[5m])") == ["pintally_recods_total"]
    assert unknown('pintally_records_total{topics="a"}') == ["pintally_records_total{topics}"]
    assert unknown("sum by (fate) (pintally_records_total)") == ["by (fate)"]
    assert unknown("pintally_worker_flush_seconds")


def test_every_metric_is_shown_or_said_not_to_be() -> None:
    shown = {name for asked in COUNTING for name in metrics(promql(asked.query))}
    assert METRICS.keys() - shown == NOT_SHOWN


def test_a_legend_names_labels_that_its_query_keeps() -> None:
    for panel in panels("counting"):
        for target in panel["targets"]:
            named = set(re.findall(r"{{\s*(\w+)\s*}}", target["legendFormat"]))
            assert named <= kept(promql(target["expr"])), target["expr"]


def test_a_label_that_a_query_does_not_keep_is_found() -> None:
    assert kept("sum by (topic, partition) (rate(pintally_source_lag_records[5m]))") == {"topic", "partition"}
    assert kept("max by (topics) (pintally_source_lag_records)") == set()
    assert kept("sum(pintally_source_lag_records) / 2") == set()
    assert "partition" in kept("time() - (pintally_source_stream_time_seconds > 0)")
    quantile = "histogram_quantile(0.5, sum by (le, topic) (rate(pintally_worker_freshness_seconds_bucket[5m])))"
    assert kept(quantile) == {"topic"}


def test_variables_stand_in_quotes_in_sql() -> None:
    for asked in queries("engagement"):
        assert set(re.findall(r"\$\{?(\w+[^}\s)(]*)\}?", asked.query)) <= {"pin:singlequote", "__timeFilter"}, asked


def _data_sources(part: Any) -> list[dict[str, str]]:
    if isinstance(part, list):
        return [found for each in part for found in _data_sources(each)]
    if not isinstance(part, dict):
        return []
    mine = [part["datasource"]] if isinstance(part.get("datasource"), dict) else []
    return mine + [found for each in part.values() for found in _data_sources(each)]
