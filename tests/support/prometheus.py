"""A real Prometheus for a test: it scrapes what the test runs, evaluates rules, and is asked over HTTP."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from pintally.tools.engines.child import Child
from pintally.tools.engines.local_prometheus import prometheus_at
from pintally.tools.engines.ports import LOOPBACK, free_port
from tests.support import programs

INTERVAL_S = 0.25  # between two scrapes, and between two evaluations of rules; a scrape may take as long


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str
    interval_s: float = INTERVAL_S

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
        firing = self.query_range('ALERTS{alertstate="firing"}', since, time.time(), self.interval_s)
        return {series["metric"]["alertname"] for series in firing}


@contextmanager
def running_prometheus(
    directory: Path,
    targets: Mapping[str, Sequence[str]],
    rules: Path | None = None,
    interval_s: float = INTERVAL_S,
) -> Iterator[Prometheus]:
    """Prometheus that scrapes these targets (job -> host:port), until the end of the block. Skips the test if there is
    none on this machine.
    """
    program = programs.prometheus()
    (directory / "prometheus.yml").write_text(yaml.safe_dump(_configuration(targets, rules, interval_s)))
    port = free_port()
    process = Child(prometheus_at(program, directory, port), None, print)
    process.start()
    try:
        process.wait_ready()
        yield Prometheus(f"http://{LOOPBACK}:{port}", interval_s)
    finally:
        process.stop()


def _configuration(targets: Mapping[str, Sequence[str]], rules: Path | None, interval_s: float) -> dict[str, Any]:
    every = f"{interval_s * 1000:.0f}ms"
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": [str(rules)] if rules else [],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(of_job)}]} for job, of_job in targets.items()
        ],
    }
