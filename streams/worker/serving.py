"""What a worker serves over HTTP: whether it lives, whether it is ready, and its metrics."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from pintally.streams.http.exposition import answer
from pintally.streams.http.listening import AddressRefused, Listening, listen
from pintally.streams.http.server import Route
from pintally.streams.http.targets import TARGETS, WORKER_JOB, announced_target, remove, targets_in
from pintally.streams.settings import Settings
from pintally.streams.worker.first_lines import say_served
from pintally.streams.worker.health import Health, Readiness, Stage, readiness
from pintally.streams.worker.metrics import WorkerCollector, seen_of
from pintally.streams.worker.process import watch

SETTING = "PINTALLY_METRICS"  # begins the names of both settings
NAMELESS = "worker-"  # begins the name of the file of a worker without an instance id; its process id follows


def routes(health: Health, app: Any = None, member: str | None = None) -> dict[str, Route]:
    """The routes. Without an app the worker waits: it lives, and is not ready. `member` is its name in the group."""
    registry = registry_of(health, app, member)

    async def livez(_: web.Request) -> web.Response:
        return web.json_response({"live": True})

    async def startupz(_: web.Request) -> web.Response:
        started = health.stage is not Stage.STARTING  # who waits for Kafka must not be killed for it
        return web.json_response({"started": started, "stage": health.stage}, status=200 if started else 503)

    async def readyz(_: web.Request) -> web.Response:
        found: Readiness = readiness(seen_of(health, app))
        return web.json_response(found.document, status=200 if found.ready else 503)

    async def metrics(_: web.Request) -> web.Response:
        return answer(registry)

    return {"/livez": livez, "/startupz": startupz, "/readyz": readyz, "/metrics": metrics}


def registry_of(health: Health, app: Any = None, member: str | None = None) -> CollectorRegistry:
    """All that `/metrics` shows: the worker's metrics, and those of its process and Python."""
    registry = CollectorRegistry()
    registry.register(WorkerCollector(health, app, member))
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def take_address(settings: Settings, folder: Path = TARGETS) -> Listening:
    """Listen where the settings say, and tell it to Prometheus and the log. Raises AddressRefused.

    If any port will do, it is that of the worker of this name before, so that a restart makes no new target.
    """
    name = settings.kafka.group_instance_id or f"{NAMELESS}{os.getpid()}"
    _forget_ended(folder)
    listening = _listen(settings.worker.metrics_host, settings.worker.metrics_port, folder / f"{name}.json")
    announced = ExitStack()
    announced.enter_context(announced_target(listening.target, WORKER_JOB, name, folder))
    watch.leaving = announced.close
    say_served(listening.url)
    return listening


def _listen(host: str, port: int, before: Path) -> Listening:
    ports = [int(target.rpartition(":")[2]) for target, _ in targets_in(before)] if not port else []
    for last in ports:
        try:
            return listen(host, last, SETTING)
        except AddressRefused:
            continue
    return listen(host, port, SETTING)


def _forget_ended(folder: Path) -> None:
    """Remove the files of workers without a name whose processes were killed."""
    for file in folder.glob(f"{NAMELESS}*.json"):
        process = file.stem.removeprefix(NAMELESS)
        if process.isdigit() and not Path(f"/proc/{process}").exists() and Path("/proc").exists():
            remove(file)
