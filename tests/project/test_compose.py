"""docker-compose.yml against the settings and the versions it must agree with."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from pintally.streams.settings import SETTINGS
from pintally.streams.settings.variables import PASSWORDS
from pintally.tools.engines.jars import LOCK, locked_jars
from pintally.tools.engines.library import LOCKS
from pintally.tools.engines.ports import free_port
from tests.support.served import served

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
IMAGE = (ROOT / "deploy" / "Dockerfile").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
MONITORING = {"users", "prometheus", "grafana"}
ONE_A_WORKER = {"kafka_group_instance_id"}  # the same name for all workers would make them fence each other
OF_THE_PAGE = {"serve_host", "serve_port"}  # set where it is published
PLAIN_INSIDE = {"clickhouse_secure"}  # the two talk within compose's own network
LEFT_OFF = {"web_port"}  # Faust's web views: health and metrics have a server of their own


@pytest.mark.parametrize("field", sorted(set(SETTINGS) - ONE_A_WORKER - OF_THE_PAGE - PLAIN_INSIDE - LEFT_OFF))
def test_every_setting_reaches_the_worker(field: str) -> None:
    assert re.search(rf"^ +PINTALLY_{field.upper()}:", COMPOSE, re.MULTILINE)


def test_every_setting_that_is_passed_exists() -> None:
    passed = {name.lower() for name in re.findall(r"^ +PINTALLY_(\w+):", COMPOSE, re.MULTILINE)}
    assert passed <= {*SETTINGS, *map(str.lower, PASSWORDS)}


def test_only_loopback_is_published() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) >= 5
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_containers_and_local_engines_have_the_same_versions() -> None:
    kafka = {jar.version for jar in locked_jars(LOCK.read_text()) if jar.artifact == "kafka_2.13"}
    assert f"apache/kafka:{min(kafka)}" in COMPOSE
    wanted = json.loads((LOCKS / "package.json").read_text())["dependencies"].values()
    series = re.findall(r"clickhouse-server:([\d.]+)", COMPOSE)[0]
    assert all(version.startswith(f"{series}.") for version in wanted)


def test_a_worker_is_unhealthy_only_if_it_does_not_live() -> None:
    """Whoever restarts what is unhealthy must not restart a worker that waits. Compose asks what the image asks."""
    [said] = re.findall(r"^HEALTHCHECK.*? CMD (.*?)^(?=[A-Z])", IMAGE, re.MULTILINE | re.DOTALL)
    assert re.findall(r"/(livez|readyz|startupz)", said) == ["livez"]
    assert "test" not in SERVICES["worker"]["healthcheck"]


@contextmanager
def answering(status: str) -> Iterator[int]:
    """A server that gives every request this status; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(status) if self.path == "/livez" else 404)
            self.end_headers()

    with served(Answer) as port:
        yield port


def checks() -> dict[str, list[str]]:
    """The health checks that are bash: of the image, and of the page."""
    [said] = re.findall(r"^HEALTHCHECK.*? CMD (.*?)^(?=[A-Z])", IMAGE, re.MULTILINE | re.DOTALL)
    image: list[str] = json.loads(said.replace("\\\n", ""))
    _, *page = SERVICES["serve"]["healthcheck"]["test"]
    return {
        "image": image,
        "serve": [part.replace("$$", "$").replace("/9465", "/$PINTALLY_METRICS_PORT") for part in page],
    }


@pytest.mark.parametrize("name", ["image", "serve"])
@pytest.mark.parametrize("status", ["200", "503", "nobody"])
def test_a_health_check_tells_by_the_answer(name: str, status: str) -> None:
    with answering(status) if status != "nobody" else nullcontext(free_port()) as port:
        done = subprocess.run(
            checks()[name], env=os.environ | {"PINTALLY_METRICS_PORT": str(port)}, capture_output=True, check=False
        )
    assert (done.returncode == 0) == (status == "200"), done.stderr


def test_the_page_is_asked_at_its_port() -> None:
    asked = str(SERVICES["serve"]["healthcheck"]["test"])
    assert re.findall(r"/dev/tcp/127.0.0.1/(\d+)", asked) == [
        str(SERVICES["serve"]["environment"]["PINTALLY_SERVE_PORT"])
    ]
    assert "/livez" in asked


def test_the_image_starts_with_the_compiled_loops_that_it_holds(tmp_path: Path) -> None:
    """numba reads them only where it may write, and a container's file system is often read-only."""
    [kept] = re.findall(r"^RUN NUMBA_CACHE_DIR=(\S+) python", IMAGE, re.MULTILINE)
    [used] = re.findall(r"^ENV NUMBA_CACHE_DIR=(\S+)$", IMAGE, re.MULTILINE)
    assert f"{Path(used).parent}" in SERVICES["worker"]["tmpfs"]
    [entry] = re.findall(r"^ENTRYPOINT (.*)$", IMAGE, re.MULTILINE)
    command = [part.replace(f"{kept}/", f"{tmp_path}/kept/") for part in json.loads(entry)]
    (tmp_path / "kept" / "loops").mkdir(parents=True)
    (tmp_path / "kept" / "loops" / "one").write_text("compiled")
    (tmp_path / "pintally").write_text('#!/bin/sh\necho "$$ $# $2"\n')
    (tmp_path / "pintally").chmod(0o755)
    for folder, copied in (("used", True), ("missing/used", False)):
        to = tmp_path / folder
        with subprocess.Popen(
            [*command, "worker", "two words"],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "NUMBA_CACHE_DIR": str(to)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            said = process.communicate(timeout=180)[0]
        assert said.split(maxsplit=2) == [str(process.pid), "2", "two words\n"]  # the same process, so it gets SIGTERM
        assert (to / "loops" / "one").is_file() == copied


def test_what_is_no_worker_has_not_its_health_check() -> None:
    others = [name for name, service in SERVICES.items() if service["image"] == "pintally:local" and name != "worker"]
    assert "migrate" in others
    checks = {name: SERVICES[name].get("healthcheck", {}) for name in others}
    assert [name for name, check in checks.items() if not check.get("disable") and not check.get("test")] == []


def test_prometheus_and_grafana_start_with_their_profile_alone() -> None:
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["monitoring"]} == MONITORING
    assert {name for name, service in SERVICES.items() if "profiles" in service} == MONITORING


def test_every_image_has_a_version_and_can_be_replaced() -> None:
    images = {name: service["image"] for name, service in SERVICES.items() if service["image"] != "pintally:local"}
    assert set(images) == {"kafka", "clickhouse", "prometheus", "grafana"}
    for name, image in images.items():
        assert re.fullmatch(rf"\$\{{{name.upper()}_IMAGE:-[\w/-]+:v?\d+(\.\d+)+\}}", image)


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_a_folder_that_is_mounted_is_there_and_only_read(name: str) -> None:
    folders = [volume.split(":") for volume in SERVICES[name]["volumes"] if volume.startswith("./")]
    assert folders
    assert [folder for folder, _, *mode in folders if not (ROOT / folder).is_dir() or mode != ["ro"]] == []
