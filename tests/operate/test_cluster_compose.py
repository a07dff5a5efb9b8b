"""deploy/cluster: its files parse, name each other rightly, and give the settings that docs/cluster.md asks for."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from pintally.streams.settings import SETTINGS, Settings
from pintally.streams.settings.variables import PREFIX

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "cluster"
TEXT = (FOLDER / "compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]
CLICKHOUSE = {name: each for name, each in SERVICES.items() if name.startswith("clickhouse-")}
KAFKA = {name: each for name, each in SERVICES.items() if name.startswith("kafka-")}
SERVER = ElementTree.parse(FOLDER / "clickhouse.xml").getroot()
KEEPER = ElementTree.parse(FOLDER / "keeper.xml").getroot()


def cluster() -> ElementTree.Element:
    [named] = SERVER.findall("remote_servers/")
    return named


def settings() -> Settings:
    given = SERVICES["worker"]["environment"]
    plain = {name.removeprefix(PREFIX).lower(): value for name, value in given.items() if name.startswith(PREFIX)}
    assert set(plain) <= set(SETTINGS)
    taken = {name: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", str(value)) for name, value in plain.items()}
    return Settings.of(None, **taken)


def test_every_server_of_the_cluster_is_a_service_with_its_own_place() -> None:
    shards = [[each.text for each in shard.findall("replica/host")] for shard in cluster().findall("shard")]
    assert sorted(host or "" for shard in shards for host in shard) == sorted(CLICKHOUSE)
    places = {name: (each["environment"]["SHARD"], each["environment"]["REPLICA"]) for name, each in CLICKHOUSE.items()}
    assert len(set(places.values())) == len(places) == 4
    for number, shard in enumerate(shards):
        assert {places[host or ""][0] for host in shard} == {str(number)}
    assert {each["hostname"] for each in CLICKHOUSE.values()} == set(CLICKHOUSE)
    macros = {each.tag: each.get("from_env") for each in SERVER.findall("macros/")}
    assert macros == {"shard": "SHARD", "replica": "REPLICA"}


def test_a_shard_has_one_name_for_its_replicas_and_the_settings_name_the_shards_in_order() -> None:
    given = settings()
    named = [server.host for server in given.clickhouse.shards]
    assert given.rules.shards == len(named) == 2
    for number, name in enumerate(named):
        members = {of for of, each in CLICKHOUSE.items() if name in each["networks"]["default"]["aliases"]}
        assert {CLICKHOUSE[of]["environment"]["SHARD"] for of in members} == {str(number)}
        assert len(members) == 2


def test_the_settings_name_the_cluster_and_as_many_replicas_as_there_are() -> None:
    given = settings()
    assert given.clickhouse.cluster == cluster().tag
    assert given.clickhouse.quorum == min(len(shard.findall("replica")) for shard in cluster().findall("shard")) == 2
    assert {shard.findtext("internal_replication") for shard in cluster().findall("shard")} == {"true"}


def test_keeper_is_where_the_servers_look_for_it() -> None:
    node = SERVER.find("zookeeper/node")
    assert node is not None
    assert node.findtext("host") == SERVICES["keeper"]["hostname"]
    assert node.findtext("port") == KEEPER.findtext("keeper_server/tcp_port")
    assert KEEPER.findtext("keeper_server/coordination_settings/quorum_reads") == "true"


def test_three_brokers_keep_what_two_have_confirmed() -> None:
    assert len(KAFKA) == settings().topics.replication == 3
    numbers = {each["environment"]["KAFKA_NODE_ID"] for each in KAFKA.values()}
    assert numbers == {1, 2, 3}
    for name, each in KAFKA.items():
        given = each["environment"]
        assert given["KAFKA_MIN_INSYNC_REPLICAS"] == 2
        assert f"INTERNAL://{name}:29092" in given["KAFKA_ADVERTISED_LISTENERS"]
        voters = given["KAFKA_CONTROLLER_QUORUM_VOTERS"]
        assert voters == ",".join(f"{n}@kafka-{n}:29093" for n in sorted(numbers))
    assert settings().kafka.bootstrap_servers == ",".join(f"{name}:29092" for name in sorted(KAFKA))


def test_only_loopback_is_published_and_images_have_the_versions_of_the_other_compose_file() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3 + 2 * 4
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    other = (ROOT / "docker-compose.yml").read_text()
    images = set(re.findall(r"(?:apache/kafka|clickhouse/clickhouse-server):[\d.]+", TEXT))
    assert images == set(re.findall(r"(?:apache/kafka|clickhouse/clickhouse-server):[\d.]+", other))
    [keeper] = re.findall(r"clickhouse-keeper:([\d.]+)", TEXT)
    assert f"clickhouse-server:{keeper}" in TEXT


def test_files_that_are_mounted_are_there_and_only_read() -> None:
    mounted = [
        volume for service in SERVICES.values() for volume in service.get("volumes", []) if volume.startswith("./")
    ]
    assert len(mounted) == 5
    for volume in mounted:
        source, _, mode = volume.split(":")
        assert (FOLDER / source).is_file()
        assert mode == "ro"


def test_docker_compose_takes_the_file() -> None:
    asked = ["docker", "compose", "--file", str(FOLDER / "compose.yml"), "config", "--format", "json"]
    if (
        not shutil.which("docker")
        or subprocess.run([*asked[:2], "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("waits for `docker compose`, to read deploy/cluster/compose.yml as it does")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    done = subprocess.run(asked, capture_output=True, check=False, env=clean)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["services"].keys() == SERVICES.keys()
