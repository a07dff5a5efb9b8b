"""A real Prometheus for a test: it scrapes what the test runs, evaluates rules, and is asked over HTTP."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from pintally.tools.engines.ports import LOOPBACK, free_port
from pintally.tools.engines.ready import wait_until
from tests.support import programs

READY_S = 60.0
INTERVAL_S = 0.25  # between two scrapes, and between two evaluations of rules


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def ask(self, path: str, **parameters: Any) -> Any:
        """Returns `data` of an answer. Raises urllib's HTTPError if Prometheus does not understand the question."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Returns what an expression is now: for each series `metric` and `value`."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """Returns what it was from `start` to `end`, in Unix seconds: for each series `metric` and `values`."""
        found: list[dict[str, Any]] = self.ask("query_range", query=expression, start=start, end=end, step=step)[
            "result"
        ]
        return found

    def firing(self) -> set[str]:
        """Returns the names of the alerts that fire now."""
        alerts = self.ask("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def fired(self, since: float) -> set[str]:
        """Returns the names of the alerts that fired at any time since then."""
        firing = self.query_range('ALERTS{alertstate="firing"}', since, time.time(), INTERVAL_S)
        return {series["metric"]["alertname"] for series in firing}


@contextmanager
def running_prometheus(
    directory: Path, targets: Mapping[str, Sequence[str]], rules: Path | None = None
) -> Iterator[Prometheus]:
    """Prometheus that scrapes these targets (job -> host:port), until the end of the block. Skips the test if there is
    none on this machine.
    """
    program = programs.prometheus()
    configuration = directory / "prometheus.yml"
    configuration.write_text(yaml.safe_dump(_configuration(targets, rules)))
    server = Prometheus(f"http://{LOOPBACK}:{free_port([])}")
    command = [
        str(program),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={server.url.removeprefix('http://')}",
        "--log.level=warn",
    ]
    log = directory / "prometheus.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        if (
            not wait_until(lambda: process.poll() is not None or _is_ready(server), READY_S)
            or process.poll() is not None
        ):
            raise RuntimeError(f"Prometheus does not answer:\n{log.read_text(errors='replace')[-3000:]}")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(READY_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _configuration(targets: Mapping[str, Sequence[str]], rules: Path | None) -> dict[str, Any]:
    every = f"{INTERVAL_S * 1000:.0f}ms"
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(rules)] if rules else [],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(of_job)}]} for job, of_job in targets.items()
        ],
    }


def _is_ready(server: Prometheus) -> bool:
    try:
        with urlopen(f"{server.url}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
