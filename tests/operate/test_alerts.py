"""The alerts: each one is tested, complete, asks for metrics that exist, and has its section in the runbook."""

import re
from typing import Any

import pytest
import yaml

from pintally.schemas.metrics import METRICS
from tests.support import alerts
from tests.support.alerts import Alert
from tests.support.programs import promtool
from tests.support.promql import OF_PROMETHEUS, declared, selectors, unknown
from tests.support.readme import README

RUNBOOK = README.parent / "docs" / "runbook.md"
ALERTS = alerts.alerts()
EXPRESSIONS = [*(alert.expression for alert in ALERTS), *alerts.recorded().values()]
OTHERS = {
    **OF_PROMETHEUS,
    "ALERTS": frozenset({"alertname", "alertstate", "severity"}),
    **dict.fromkeys(alerts.recorded(), frozenset({"topic", "outcome"})),
}
SEVERITIES = {"critical", "warning"}


def asked() -> list[dict[str, Any]]:
    """Every question that the tests of the rules ask of an alert."""
    files = [yaml.safe_load(path.read_text()) for path in alerts.TESTS]
    return [question for file in files for test in file["tests"] for question in test["alert_rule_test"]]


def said(alert: Alert) -> str:
    return " ".join([alert.name, *alert.labels.values()])


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    code, output = promtool("check", "rules", alerts.RULES)
    assert code == 0, output


@pytest.mark.parametrize("tests", alerts.TESTS, ids=lambda path: path.name)
def test_every_alert_fires_and_is_silent_when_its_tests_say_so(tests: Any) -> None:
    code, output = promtool("test", "rules", tests)
    assert code == 0, output


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


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=[*map(said, ALERTS), *alerts.recorded()])
def test_every_metric_and_label_of_a_rule_exists(expression: str) -> None:
    assert unknown(expression, OTHERS) == []


def test_every_bucket_that_a_rule_asks_for_exists() -> None:
    for expression in EXPRESSIONS:
        for selector in selectors(expression):
            for matcher in selector.matchers.matchers:
                if matcher.name == "le":
                    metric = METRICS[declared(selector.name or "")]
                    assert matcher.value in [str(bound) for bound in metric.buckets]


def test_an_alert_is_silenced_only_by_alerts_that_exist() -> None:
    names = {alert.name for alert in ALERTS}
    silencing = [
        matcher.value.split("|")
        for alert in ALERTS
        for selector in selectors(alert.expression)
        for matcher in selector.matchers.matchers
        if matcher.name == "alertname"
    ]
    assert silencing
    assert {name for each in silencing for name in each} <= names


def test_the_page_leads_to_sections_that_exist() -> None:
    texts = [path.read_text() for path in (README.parent / "pintally" / "serve").glob("*.py")]
    leads = {anchor for text in texts for anchor in re.findall(r'"(pintally[a-z]+)"', text)}
    assert leads <= {alert.anchor for alert in ALERTS}
