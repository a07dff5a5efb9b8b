"""Values of the chart: every setting reaches the program as it was given, no password is among them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from pintally.streams.settings import SETTINGS, Settings
from pintally.streams.settings.variables import PASSWORDS, PREFIX
from tests.support.chart import (
    CHART,
    OF_THE_CHART,
    PAGE,
    SCHEMA,
    SECRETS,
    VALUES,
    page,
    schema_text,
    values,
    with_settings,
)
from tests.support.helm import ask, containers, documents, environment, example, pods, template

ROOT = CHART.parents[2]
# Another value for each setting that text alone can be: those that are checked, by what they may be.
TEXTS = {
    "kafka_bootstrap_servers": "kafka-1:9092,kafka-2:9092",
    "clickhouse_host": "clickhouse-0",
    "clickhouse_other_shards": "clickhouse-1:9001:8124",
    "clickhouse_cluster": "counts",
    "shards": 2,
    "partitions": 1_500_000,  # a number that floating point writes with an exponent
    "max_pending_cells": 7_000_000,
    "framed_topics": "save,click",
    "experiments": "checkout,feed",
    "topic_prefix": "$(HOME).",  # Kubernetes would put a variable in its place
    "web_port": 6066,
    "serve_verified": "/tmp/verified.prom",
}
BY_NAME = sorted(SETTINGS.keys() - OF_THE_CHART - SECRETS)


def another(name: str) -> Any:
    """A value of the setting that is not its default."""
    field, default = (
        json.loads(SCHEMA.read_text())["properties"]["settings"]["properties"][name],
        SETTINGS[name].field.default,
    )
    if name in TEXTS:
        return TEXTS[name]
    if "enum" in field:
        return next(choice for choice in field["enum"] if choice != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, int | float):
        return default - 1 if default == field.get("maximum") else default + 1
    return f"/etc/{name}"


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every setting with another value, and the environment of a worker that Helm makes of them."""
    wanted = {name: another(name) for name in BY_NAME}
    path = tmp_path_factory.mktemp("values") / "values.yaml"
    keys = dict.fromkeys(SECRETS, "key")
    path.write_text(yaml.safe_dump({"settings": wanted, "secret": {"existingSecret": "passwords", "keys": keys}}))
    [worker] = [made for made in yaml.safe_load_all(template(path)) if made and made["kind"] == "StatefulSet"]
    return wanted, environment(worker["spec"]["template"]["spec"]["containers"][0])


@pytest.mark.parametrize("name", BY_NAME)
def test_a_setting_reaches_the_worker_as_it_was_given(
    name: str, given: tuple[dict[str, Any], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, made = given
    for variable, value in made.items():
        if isinstance(value, str):
            monkeypatch.setenv(variable, value.replace("$$(", "$("))
    monkeypatch.setenv(f"{PREFIX}USER_KEY", "0" * 32)
    assert Settings.of(None).values()[name] == wanted[name] != SETTINGS[name].field.default


def test_every_setting_is_a_value_or_a_secret_or_the_charts_own(given: tuple[dict[str, Any], dict[str, Any]]) -> None:
    passed = {name.removeprefix(PREFIX).lower() for name in given[1]}
    page_only = {name for name in OF_THE_CHART if name.startswith("serve_")}
    assert passed == SETTINGS.keys() - page_only
    assert {name for name, each in SETTINGS.items() if each.field.annotation is SecretStr} == SECRETS
    [serve] = documents("least", "Deployment")
    made = environment(serve["spec"]["template"]["spec"]["containers"][0])
    assert {f"{PREFIX}{name.upper()}" for name in page_only} <= made.keys()


def test_passwords_come_from_secrets_alone() -> None:
    secret = {f"{PREFIX}{name.upper()}" for name in SECRETS | PASSWORDS.keys()}
    found = []
    for _, pod in pods("all"):
        for container in containers(pod):
            found += [(name, value) for name, value in environment(container).items() if name in secret]
            assert container["env"] == [
                each for each in container["env"] if set(each) <= {"name", "value", "valueFrom"}
            ]
            assert "envFrom" not in container
    assert {name for name, _ in found} == secret
    assert [name for name, value in found if "secretKeyRef" not in value] == []
    assert documents("all", "Secret") == []


def test_the_job_that_makes_tables_has_passwords_of_its_own() -> None:
    [job] = documents("all", "Job")
    migrate, users = containers(job["spec"]["template"])
    [worker] = documents("all", "StatefulSet")
    counts = environment(worker["spec"]["template"]["spec"]["containers"][0])
    assert (environment(migrate)["PINTALLY_CLICKHOUSE_USER"], counts["PINTALLY_CLICKHOUSE_USER"]) == (
        "admin",
        "pintally_worker",
    )
    of = {
        name: environment(each)["PINTALLY_CLICKHOUSE_PASSWORD"]["secretKeyRef"]["name"]
        for name, each in (("migrate", migrate), ("users", users))
    }
    assert of == {"migrate": "pintally-admin", "users": "pintally-admin"}
    assert counts["PINTALLY_CLICKHOUSE_PASSWORD"]["secretKeyRef"]["name"] == "pintally"
    assert {f"{PREFIX}{name}" for name in PASSWORDS} <= environment(users).keys()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"settings": {"kafka_bootstrap_servers": ""}}, "kafka_bootstrap_servers"),
        ({"settings": {"clickhouse_password": "secret"}}, "clickhouse_password"),
        ({"settings": {"partitons": 3}}, "partitons"),
        ({"settings": {"partitions": "many"}}, "partitions"),
        ({"settings": {"retention_days": 91}}, "retention_days"),
        ({"settings": {"kafka_group_instance_id": "one"}}, "kafka_group_instance_id"),
        ({"worker": {"terminationGracePeriodSeconds": 5}}, "terminationGracePeriodSeconds"),
        ({"secret": {"keys": {"clickhouse_password": "password"}}}, "existingSecret"),
        ({"autoscaling": {"enabled": True}}, "autoscaling.prometheus"),
        ({"werker": {}}, "werker"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_refused_by_its_name(
    changed: dict[str, Any], named: str, tmp_path: Path
) -> None:
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(changed))
    done = ask("template", "pins", CHART, "--values", example("least"), "--values", path)
    assert done.returncode != 0
    assert named in done.stderr


def test_the_values_in_the_documentation_are_accepted(tmp_path: Path) -> None:
    [shown] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "kubernetes.md").read_text(), re.DOTALL)
    (tmp_path / "values.yaml").write_text(shown)
    kinds = {made["kind"] for made in yaml.safe_load_all(template(tmp_path / "values.yaml")) if made}
    assert {"StatefulSet", "Job", "PodMonitor", "PrometheusRule"} <= kinds


def test_what_must_be_given_is_named() -> None:
    done = ask("template", "pins", CHART)
    assert done.returncode != 0
    assert [name for name in ("kafka_bootstrap_servers", "clickhouse_host") if name not in done.stderr] == []


def test_values_schema_and_page_are_those_of_the_code() -> None:
    text = VALUES.read_text()
    assert text == with_settings(text), "run `make readme`"
    assert SCHEMA.read_text() == schema_text(text), "run `make readme`"
    assert PAGE.read_text() == page(PAGE.read_text(), text), "run `make readme`"


def test_every_value_has_a_comment() -> None:
    def leaves(given: Any, path: str = "") -> list[str]:
        if not isinstance(given, dict) or path.rstrip(".") in explained:
            return [path.rstrip(".")]
        return [leaf for name, inner in given.items() for leaf in leaves(inner, f"{path}{name}.")]

    explained = {each.path for each in values(VALUES.read_text()) if not isinstance(each.default, dict)}
    explained |= {each.path for each in values(VALUES.read_text()) if not _inner(each.path)}
    assert [leaf for leaf in leaves(yaml.safe_load(VALUES.read_text())) if leaf not in explained] == []


def _inner(path: str) -> bool:
    return any(each.path.startswith(f"{path}.") for each in values(VALUES.read_text()))
