"""What Prometheus and Grafana beside docker-compose.yml are given: each part agrees with the others."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana import clickhouse, counting
from pintally.sinks.clickhouse.users import users
from pintally.streams.http.targets import SERVE_JOB, WORKER_JOB
from tests.support.dashboards import DEPLOY
from tests.support.programs import promtool

PROMETHEUS = DEPLOY / "prometheus"
PROVISIONING = DEPLOY / "grafana" / "provisioning"
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
CONFIGS = ("prometheus.yml", "compose.yml")


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def sources() -> dict[str, Any]:
    """The provisioned data sources, by the plugin that reads them."""
    return {each["type"]: each for each in loaded(PROVISIONING / "datasources" / "pintally.yml")["datasources"]}


@pytest.mark.parametrize("name", CONFIGS)
def test_prometheus_can_read_its_configuration_and_the_alerts(name: str) -> None:
    code, said = promtool("check", "config", PROMETHEUS / name)
    assert code == 0, said


@pytest.mark.parametrize("name", CONFIGS)
def test_prometheus_asks_for_the_alerts(name: str) -> None:
    assert loaded(PROMETHEUS / name)["rule_files"] == ["pintally.rules.yml"]


def test_the_jobs_are_those_that_the_alerts_name() -> None:
    jobs = {each["job_name"]: each for each in loaded(PROMETHEUS / "compose.yml")["scrape_configs"]}
    assert set(jobs) == {WORKER_JOB, SERVE_JOB}
    named = set(re.findall(r'job="([^"]+)"', (PROMETHEUS / "pintally.rules.yml").read_text()))
    assert named
    assert named <= set(jobs)


def test_prometheus_is_given_the_configuration_of_its_folder() -> None:
    prometheus = SERVICES["prometheus"]
    assert "--config.file=/etc/prometheus/compose.yml" in prometheus["command"]
    assert "./deploy/prometheus:/etc/prometheus:ro" in prometheus["volumes"]


def test_each_dashboard_has_a_data_source_of_its_plugin() -> None:
    assert set(sources()) == {counting.PLUGIN, clickhouse.PLUGIN}
    assert (
        SERVICES["grafana"]["environment"]["GF_PLUGINS_PREINSTALL_SYNC"] == f"{clickhouse.PLUGIN}@{clickhouse.VERSION}"
    )


def test_the_step_of_queries_fits_how_often_prometheus_scrapes() -> None:
    scrape = loaded(PROMETHEUS / "compose.yml")["global"]["scrape_interval"]
    assert sources()[counting.PLUGIN]["jsonData"]["timeInterval"] == scrape


def test_grafana_reads_clickhouse_as_the_user_of_readers() -> None:
    source = sources()[clickhouse.PLUGIN]
    _, reader = users("pintally")
    assert source["jsonData"]["username"] == reader.name
    given = SERVICES["grafana"]["environment"]
    assert source["jsonData"]["defaultDatabase"].removeprefix("$") in given
    assert (
        given[source["secureJsonData"]["password"].removeprefix("$")]
        == SERVICES["users"]["environment"]["PINTALLY_READER_PASSWORD"]
    )


def test_grafana_finds_the_dashboards_where_they_are_mounted() -> None:
    [provider] = loaded(PROVISIONING / "dashboards" / "pintally.yml")["providers"]
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"] if volume.startswith("./"))
    assert mounted == {
        "./deploy/grafana/provisioning": "/etc/grafana/provisioning",
        "./deploy/grafana/dashboards": provider["options"]["path"],
    }
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY / "grafana" / "dashboards" / Path(home).name).is_file()


def test_prometheus_scrapes_the_services_of_compose_at_their_ports() -> None:
    jobs = {each["job_name"]: each for each in loaded(PROMETHEUS / "compose.yml")["scrape_configs"]}
    [discovery] = jobs[WORKER_JOB]["dns_sd_configs"]
    assert (discovery["names"], discovery["type"]) == (["worker"], "A")
    assert discovery["port"] == SERVICES["worker"]["environment"]["PINTALLY_METRICS_PORT"]
    serve = SERVICES["serve"]["environment"]
    assert jobs[SERVE_JOB]["static_configs"] == [{"targets": [f"serve:{serve['PINTALLY_SERVE_PORT']}"]}]
    assert serve["PINTALLY_SERVE_WORKERS"] == f"worker:{discovery['port']}"
    hosts = SERVICES["worker"]["environment"]["PINTALLY_METRICS_HOST"], serve["PINTALLY_SERVE_HOST"]
    assert hosts == ("0.0.0.0", "0.0.0.0")
