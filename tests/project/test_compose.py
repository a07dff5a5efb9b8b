"""docker-compose.yml against the settings and the versions it must agree with."""

import json
import re
from pathlib import Path

import pytest

from pintally.streams.settings import SETTINGS
from pintally.tools.engines.jars import LOCK, locked_jars
from pintally.tools.engines.library import LOCKS

COMPOSE = (Path(__file__).parents[2] / "docker-compose.yml").read_text()
ONE_A_WORKER = {"kafka_group_instance_id"}  # the same name for all workers would make them fence each other
PLAIN_INSIDE = {"clickhouse_secure"}  # the two talk within compose's own network


@pytest.mark.parametrize("field", sorted(set(SETTINGS) - ONE_A_WORKER - PLAIN_INSIDE))
def test_every_setting_reaches_the_worker(field: str) -> None:
    assert re.search(rf"^ +PINTALLY_{field.upper()}:", COMPOSE, re.MULTILINE)


def test_every_setting_that_is_passed_exists() -> None:
    passed = {name.lower() for name in re.findall(r"^ +PINTALLY_(\w+):", COMPOSE, re.MULTILINE)}
    assert passed <= set(SETTINGS)


def test_only_loopback_is_published() -> None:
    ports = re.findall(r'"([^"]*):(?:9092|9000|8123)"', COMPOSE)
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_containers_and_local_engines_have_the_same_versions() -> None:
    kafka = {jar.version for jar in locked_jars(LOCK.read_text()) if jar.artifact == "kafka_2.13"}
    assert f"apache/kafka:{min(kafka)}" in COMPOSE
    wanted = json.loads((LOCKS / "package.json").read_text())["dependencies"].values()
    series = re.findall(r"clickhouse-server:([\d.]+)", COMPOSE)[0]
    assert all(version.startswith(f"{series}.") for version in wanted)
