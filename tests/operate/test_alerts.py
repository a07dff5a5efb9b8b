"""The alerts: each one is tested, complete, asks for metrics that exist, and has its section in the runbook."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from pintally.schemas.metrics import METRICS, Kind
from tests.support import alerts, programs
from tests.support.alerts import Alert
from tests.support.readme import README

RUNBOOK = README.parent / "docs" / "runbook.md"
ALERTS = alerts.alerts()
EXPRESSIONS = {**{alert.name: alert.expression for alert in ALERTS}, **alerts.recorded()}
GIVEN_BY_PROMETHEUS = {"up": {"job", "instance"}, "ALERTS": {"alertname", "alertstate", "severity"}}
OF_HISTOGRAMS = ("_bucket", "_count", "_sum")
SEVERITIES = {"critical", "warning"}


def asked() -> list[dict[str, Any]]:
    """Every question that the tests of the rules ask of an alert."""
    files = [yaml.safe_load(path.read_text()) for path in alerts.TESTS]
    return [question for file in files for test in file["tests"] for question in test["alert_rule_test"]]


def said(alert: Alert) -> str:
    return " ".join([alert.name, *alert.labels.values()])


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    done = subprocess.run([programs.promtool(), "check", "rules", alerts.RULES], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("tests", alerts.TESTS, ids=lambda path: path.name)
def test_every_alert_fires_and_is_silent_when_its_tests_say_so(tests: Any) -> None:
    done = subprocess.run([programs.promtool(), "test", "rules", tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=said)
def test_the_tests_have_an_alert_fire_and_be_silent(alert: Alert) -> None:
    expected = [each["exp_alerts"] for each in asked() if each["alertname"] == alert.name]
    assert [] in expected
    assert any(alert.labels.items() <= fires["exp_labels"].items() for each in expected for fires in each)


@pytest.mark.parametrize("alert", ALERTS, ids=said)
def test_an_alert_says_how_urgent_it_is_what_happened_and_what_to_do(alert: Alert) -> None:
    assert alert.waits is not None
    assert alert.labels["severity"] in SEVERITIES
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert "{{" not in alert.annotations["summary"]
    assert re.search(r"\{\{.*\$(value|labels)", alert.annotations["description"])
    assert alert.annotations["runbook_url"] == f"docs/runbook.md#{alert.anchor}"


def test_no_alert_is_without_a_section_in_the_runbook_and_no_section_without_an_alert() -> None:
    sections = re.findall(r"^### (Pintally\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert sections == list(dict.fromkeys(alert.name for alert in ALERTS))


@pytest.mark.parametrize("name", sorted({alert.name for alert in ALERTS}))
def test_a_section_says_meaning_impact_diagnosis_and_mitigation(name: str) -> None:
    section = re.split(r"^##", RUNBOOK.read_text().split(f"### {name}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    assert re.findall(r"^\*\*(\w+)\.\*\*", section, re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"]


def metric_of(series: str) -> tuple[str, set[str]] | None:
    """The name of the metric that a series belongs to, and the labels that it has; None if nobody exposes it."""
    ending = next((each for each in OF_HISTOGRAMS if series.endswith(each)), "")
    metric = METRICS.get(series) or METRICS.get(series.removesuffix(ending))
    if metric is None or (metric.kind is Kind.HISTOGRAM) != bool(series != metric.name):
        return None
    of_buckets = {"le"} if series.endswith("_bucket") else set()
    return metric.name, {*metric.labels, *of_buckets, "job", "instance"}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_metric_and_label_of_a_rule_exists(name: str) -> None:
    for selector in alerts.selectors(EXPRESSIONS[name]):
        asked = {matcher.name for matcher in selector.matchers.matchers}
        if selector.name in GIVEN_BY_PROMETHEUS:
            assert asked <= GIVEN_BY_PROMETHEUS[selector.name]
        elif selector.name in alerts.recorded():
            assert asked <= {"topic", "outcome"}
        else:
            found = metric_of(selector.name or "")
            assert found, f"no metric is called {selector.name}"
            assert asked <= found[1]


def test_every_bucket_that_a_rule_asks_for_exists() -> None:
    for expression in EXPRESSIONS.values():
        for selector in alerts.selectors(expression):
            for matcher in selector.matchers.matchers:
                if matcher.name == "le":
                    found = metric_of(selector.name or "")
                    assert found
                    assert matcher.value in [str(bound) for bound in METRICS[found[0]].buckets]


def test_an_alert_is_silenced_only_by_alerts_that_exist() -> None:
    names = {alert.name for alert in ALERTS}
    silencing = [
        matcher.value.split("|")
        for alert in ALERTS
        for selector in alerts.selectors(alert.expression)
        for matcher in selector.matchers.matchers
        if matcher.name == "alertname"
    ]
    assert silencing
    assert {name for each in silencing for name in each} <= names


def test_the_page_leads_to_sections_that_exist() -> None:
    texts = [path.read_text() for path in (README.parent / "pintally" / "serve").glob("*.py")]
    leads = {anchor for text in texts for anchor in re.findall(r'"(pintally[a-z]+)"', text)}
    assert leads <= {alert.anchor for alert in ALERTS}
