"""Prometheus beside the local engines: it scrapes what says so in the folder, and none is left at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from pintally.schemas.errors import PintallyError
from pintally.streams.http.targets import TARGETS, WORKER_JOB, announced_target
from pintally.tools.engines import local_prometheus as module
from pintally.tools.engines.local_prometheus import explain_prometheus, local_prometheus, needed_prometheus
from pintally.tools.engines.ready import wait_until
from tests.support import programs
from tests.support.prometheus import Prometheus
from tests.support.served import served

STRANGE = 'дом [a] *?{x} "q" it\'s $HOME'


class Metrics(BaseHTTPRequestHandler):
    """One metric, as a worker would show it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"pintally_worker_pending_cells 7\n")


@contextmanager
def exposing() -> Iterator[str]:
    with served(Metrics) as port:
        yield f"127.0.0.1:{port}"


def test_it_scrapes_what_says_so_in_the_folder_and_knows_the_alerts(tmp_path: Path) -> None:
    programs.prometheus()
    folder = tmp_path / STRANGE
    with (
        exposing() as target,
        local_prometheus(folder / "prometheus", print) as url,
        announced_target(target, WORKER_JOB, "one", folder / TARGETS.name),
    ):
        prometheus = Prometheus(url)
        assert wait_until(lambda: prometheus.query('pintally_worker_pending_cells{job="pintally-worker"}'), 60)
        assert prometheus.query(f'up{{instance="{target}"}}')[0]["value"][1] == "1"
        alerts = [rule["name"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        assert "PintallyNoWorker" in alerts
    with pytest.raises(URLError, match="refused"):
        urlopen(f"{url}/-/ready", timeout=5)


def test_a_machine_without_prometheus_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_prometheus", lambda: None)
    with pytest.raises(PintallyError, match="found no Prometheus") as refused:
        needed_prometheus()
    assert "apt-get install prometheus" in refused.value.remedy


@pytest.mark.parametrize(
    ("log", "what"),
    [
        ('err="listen tcp 127.0.0.1:9090: bind: address already in use"', "port is in use"),
        ('err="opening storage failed: lock DB directory: resource temporarily unavailable"', "data folder is in use"),
    ],
)
def test_known_failures_are_told_in_words(log: str, what: str) -> None:
    error = explain_prometheus(log)
    assert error is not None
    assert what in error.what


def test_other_lines_are_no_failure() -> None:
    assert explain_prometheus("level=warn msg=other") is None
