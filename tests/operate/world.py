"""What a day is played on: two workers, `pintally serve`, steady traffic, and a Prometheus with shorter rules."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pintally.streams.http.targets import SERVE_JOB, WORKER_JOB
from pintally.streams.settings import Settings
from pintally.tools.drill.proxy import Proxies, Proxy
from pintally.tools.engines.ports import LOOPBACK, free_port
from tests.e2e.running import Traffic, Worker, wait_for
from tests.operate.scaled import scaled_rules
from tests.serve.serving import Serve
from tests.support.engines import TestEngines
from tests.support.prometheus import Prometheus, running_prometheus

NAMES = ("one", "two")
WITHOUT = ("PintallyFreshnessBurnsSlowly",)  # it looks back over three days, and so over all faults of the day
SLOW_S = 0.2  # each piece of a question or an answer, while ClickHouse is slow
SETTLED_S = 120.0
SCRAPED_S = 7.5  # of the day, between two scrapes
SETTLED = (
    "sum(up) == {targets}"
    " and count(pintally_worker_partitions{{state='assigned'}} > 0) == {workers}"
    " and max(pintally_source_lag_seconds) < 2"
    " and count(pintally_look_timestamp_seconds{{at='ledger'}}) == 1"
)
STEADY = ("--rate", "300", "--late", "0", "--broken", "0", "--duplicates", "0.01")


@dataclass
class World:
    """All of it. `workers` are those that were started last, by name."""

    settings: Settings
    engines: TestEngines
    folder: Path
    factor: float
    prometheus: Prometheus
    ports: dict[str, int]
    to_clickhouse: Proxy  # of the workers
    workers: dict[str, Worker] = field(default_factory=dict)
    serve: Serve | None = None

    def start_worker(self, name: str, **changed: Any) -> None:
        """Start `pintally worker --instance NAME` at its port, with these settings changed."""
        given = {"metrics_port": self.ports[name], "clickhouse_port": self.to_clickhouse.port, **changed}
        settings = self.settings.changed(**given)
        self.workers[name] = Worker(settings, self.folder / f"{name}.log", name)

    def start_workers(self, **changed: Any) -> None:
        """Start those that do not run."""
        for name in NAMES:
            if name not in self.workers or not self.workers[name].alive:
                self.start_worker(name, **changed)

    def start_serve(self) -> None:
        """Start `pintally serve`."""
        workers = ",".join(f"{LOOPBACK}:{self.ports[name]}" for name in NAMES)
        self.serve = Serve(self.settings, self.folder, serve_port=self.ports["serve"], serve_workers=workers)

    def end_serve(self) -> None:
        """End it with SIGKILL."""
        assert self.serve
        self.serve.kill()

    def condition(self) -> dict[str, Any]:
        """The sentence that the page shows first, and its level and section of the runbook; empty without a page.

        Whoever asks every few seconds has `pintally serve` look every second.
        """
        assert self.serve
        status, text = self.serve.get("/api/state.json")
        shown: dict[str, Any] = json.loads(text)["condition"] if status == 200 else {}
        return shown

    def wait_firing(self, alerts: set[str], timeout: float) -> None:
        """Return once exactly these alerts fire. Raises TimeoutError that names those that do."""
        try:
            wait_for(lambda: (self.condition(), self.prometheus.firing())[1] == alerts, timeout, "alerts")
        except TimeoutError as error:
            raise TimeoutError(f"{self.prometheus.firing() or 'no alert'} instead of {alerts or 'none'}") from error

    def wait_page(self, section: str) -> None:
        """Return once the page leads to this section of the runbook. Raises TimeoutError with what it says."""
        try:
            wait_for(lambda: self.condition().get("runbook") == section, SETTLED_S, "page")
        except TimeoutError as error:
            raise TimeoutError(f"the page says {self.condition()}, and does not lead to {section}") from error

    def wait_silent(self) -> None:
        """Return once Prometheus sees that all is counted, no alert fires, and the page says that all is well."""
        wait_for(self._is_seen, SETTLED_S, "Prometheus sees that all is counted")
        self.wait_well(SETTLED_S)
        self.wait_firing(set(), SETTLED_S)

    def wait_well(self, timeout: float) -> None:
        """Return once the page says that all is well."""
        wait_for(lambda: self.condition().get("level") == "ok", timeout, "the page says that all is well")

    def _is_seen(self) -> bool:
        """Every process, the partitions of each worker, and that each source is counted up to now."""
        self.condition()
        return bool(self.prometheus.query(SETTLED.format(targets=len(self.ports), workers=len(NAMES))))

    def passes(self, seconds: float) -> None:
        """So much time of the day passes: divided by the factor."""
        end = time.monotonic() + seconds / self.factor
        while time.monotonic() < end:
            self.condition()
            time.sleep(0.2)


@contextmanager
def open_world(settings: Settings, engines: TestEngines, folder: Path, factor: float) -> Iterator[World]:
    """Everything runs and all is counted."""
    ports: dict[str, int] = {}
    for name in (*NAMES, "serve"):
        ports[name] = free_port(list(ports.values()))
    targets = {
        WORKER_JOB: [f"{LOOPBACK}:{ports[name]}" for name in NAMES],
        SERVE_JOB: [f"{LOOPBACK}:{ports['serve']}"],
    }
    rules = folder / "rules.yml"
    rules.write_text(yaml.safe_dump(scaled_rules(factor, WITHOUT)))
    with ExitStack() as ends:
        prometheus = ends.enter_context(running_prometheus(folder, targets, rules, SCRAPED_S / factor))
        proxies = ends.enter_context(Proxies())
        proxy = Proxy(proxies, free_port(list(ports.values())), settings.clickhouse.port)
        proxy.delay_seconds = SLOW_S
        proxy.open()
        ends.callback(proxy.close)
        world = World(settings, engines, folder, factor, prometheus, ports, proxy)
        ends.callback(end_all, world)
        world.start_serve()
        world.start_workers()
        ends.enter_context(Traffic(settings, *STEADY))
        try:
            world.wait_silent()
            yield world
        except BaseException as error:
            for log in sorted(folder.glob("*.log")):
                error.add_note(f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}")
            raise


def end_all(world: World) -> None:
    """End what still runs."""
    for worker in world.workers.values():
        if worker.alive:
            worker.signal(signal.SIGCONT)
        worker.close()
    if world.serve:
        world.end_serve()
