"""Alerts and dashboards in the chart are those of deploy/, and its monitors name targets as the alerts do."""

import json
import re
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.support.chart import CHART
from tests.support.helm import ask, containers, documents, example, selected, template

DEPLOY = CHART.parents[1]
RULES = DEPLOY / "prometheus" / "pintally.rules.yml"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
ADDRESS = "https://git.example.com/pintally/"


def test_the_alerts_are_those_of_deploy_and_lead_to_the_runbook() -> None:
    [made] = documents("all", "PrometheusRule")
    source = RULES.read_text().replace("runbook_url: docs/", f"runbook_url: {ADDRESS}docs/")
    assert made["spec"] == yaml.safe_load(source)
    addresses = re.findall(r"runbook_url: (\S+?)runbook", yaml.safe_dump(made, width=1000))
    assert set(addresses) == {f"{ADDRESS}docs/"}


def test_the_dashboards_are_those_of_deploy() -> None:
    [made] = documents("all", "ConfigMap")
    assert made["data"].keys() == {path.name for path in DASHBOARDS}
    assert [
        path.name for path in DASHBOARDS if json.loads(made["data"][path.name]) != json.loads(path.read_text())
    ] == []
    assert sum(map(len, made["data"].values())) < 1 << 20  # of a ConfigMap
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_chart_has_links_to_them_and_a_package_what_they_lead_to(tmp_path: Path) -> None:
    links = [path for path in (CHART / "files").iterdir() if path.is_symlink()]
    assert {path.resolve() for path in links} == {RULES, DASHBOARDS[0].parent}
    assert links == [*(CHART / "files").iterdir()]
    assert ask("package", CHART, "--destination", tmp_path).returncode == 0
    [package] = tmp_path.iterdir()
    with tarfile.open(package) as archive:
        held = {name: archive.extractfile(name) for name in archive.getnames()}
    assert [name for name in held if "/ci/" in name or Path(name).is_symlink()] == []
    assert template(example("all"), chart=package) == template(example("all"))


@pytest.mark.parametrize("kind", ["PodMonitor", "ServiceMonitor"])
def test_monitors_find_targets_and_name_them_as_the_alerts_do(kind: str) -> None:
    [monitor] = documents("all", kind)
    labels = monitor["spec"]["selector"]["matchLabels"]
    [asked] = monitor["spec"]["podMetricsEndpoints" if kind == "PodMonitor" else "endpoints"]
    [pod] = selected("all", labels)
    assert asked["port"] in {port["name"] for container in containers(pod) for port in container["ports"]}
    services = [made for made in documents("all", "Service") if labels.items() <= made["metadata"]["labels"].items()]
    assert all(asked["port"] in {port["name"] for port in made["spec"]["ports"]} for made in services)
    assert len(services) == 1
    jobs = {each["targetLabel"]: each.get("replacement") for each in asked["relabelings"]}
    known = set(
        re.findall(r"job: (pintally-\w+)|job_name: (pintally-\w+)", (DEPLOY / "prometheus" / "compose.yml").read_text())
    )
    assert jobs["job"] in {name for names in known for name in names}
    assert jobs["job"].removeprefix("pintally-") == labels["app.kubernetes.io/component"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_alerts_and_dashboards_ask_for_the_jobs_that_monitors_give() -> None:
    given = {
        each["replacement"]
        for kind, field in (("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints"))
        for monitor in documents("all", kind)
        for each in monitor["spec"][field][0]["relabelings"]
        if each["targetLabel"] == "job"
    }
    asked = set(re.findall(r'job=\\?"([\w-]+)', RULES.read_text() + "".join(path.read_text() for path in DASHBOARDS)))
    assert asked
    assert asked <= given
