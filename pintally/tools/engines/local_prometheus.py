"""Prometheus as a child process of ours: it scrapes what runs in this folder, and evaluates the alerts."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.child import Child, Program
from pintally.tools.engines.ports import LOOPBACK, free_port
from pintally.tools.engines.prometheus import find_prometheus, how_to_get_it

RULES: Final = Path(__file__).parent / "pintally.rules.yml"  # a link; installed, a copy
# Prometheus runs in its folder, and all names are relative: characters of a path would be taken for patterns.
CONFIG: Final = """\
# Written by Pintally at each start.
global:
  scrape_interval: 5s
  evaluation_interval: 5s
rule_files: [pintally.rules.yml]
scrape_configs:
  - job_name: pintally
    file_sd_configs:
      - files: [../targets/*.json]
        refresh_interval: 5s
"""
KEPT: Final = "7d"
TARGETS: Final = "targets"  # the folder that workers and `pintally serve` write to


def needed_prometheus() -> Path:
    """Returns the program. Raises PintallyError, with how to get it, if this machine has none."""
    if found := find_prometheus():
        return found
    raise PintallyError("found no Prometheus: not on PATH, nor in the cache of the engines", f"{how_to_get_it()}.")


@contextmanager
def local_prometheus(folder: Path, report: Callable[[str], None]) -> Iterator[str]:
    """Yields the address of a Prometheus, ready, that finds what it scrapes in the folder `targets` beside its own.

    Its data, configuration and log are in `folder`. It listens on loopback, is started again if it crashes, and is
    stopped at the end, also when this process dies. Raises PintallyError if there is none, or it does not start.
    """
    program = needed_prometheus()
    folder = folder.absolute()
    for each in (folder, folder.parent / TARGETS):
        each.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(CONFIG)
    (folder / RULES.name).write_bytes(RULES.read_bytes())
    port = free_port()
    prometheus = Child(prometheus_at(program, folder, port), None, report)
    prometheus.start()
    try:
        prometheus.wait_ready()
        yield f"http://{LOOPBACK}:{port}"
    finally:
        prometheus.stop()


def explain_prometheus(log: str) -> PintallyError | None:
    """Known reasons in its log for not starting."""
    if "address already in use" in log:
        return PintallyError("Prometheus' port is in use", "Run the command again: it chooses another one.")
    if "lock DB directory" in log:
        return PintallyError("Prometheus' data folder is in use by another Prometheus", "End it, and try again.")
    return None


def prometheus_at(program: Path, folder: Path, port: int) -> Program:
    """Prometheus with the `prometheus.yml`, the data and the log of a folder, on a port of loopback."""
    listen = f"--web.listen-address={LOOPBACK}:{port}"
    data = ["--storage.tsdb.path=data", f"--storage.tsdb.retention.time={KEPT}"]
    return Program(
        name="Prometheus",
        command=[str(program), "--config.file=prometheus.yml", *data, listen, "--log.level=warn"],
        folder=folder,
        environment=os.environ,
        stop="signal",
        log=folder / "prometheus.log",
        answers=lambda: _is_ready(port),
        explain=explain_prometheus,
    )


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://{LOOPBACK}:{port}/-/ready", timeout=2) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False
