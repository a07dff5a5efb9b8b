"""A Kafka and a ClickHouse of the drill's own, with a proxy to each for every worker, and settings for quick faults."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pintally.schemas.cells import PinMemberRows, PinMinuteRows
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka.topic_configs import set_topic_configs
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import SETTINGS, Settings
from pintally.tools.drill.proxy import Proxies, Proxy
from pintally.tools.engines import EngineAddresses, Engines, local_engines
from pintally.tools.engines.ports import LOOPBACK, free_port

SEGMENT_BYTES = 32 * 1024 * 1024  # a killed broker reads its unfinished segments again: short ones, short restarts
READ_SECONDS = 15.0
APPLIED_SECONDS = 2.0  # the broker takes changed settings of a topic a moment after it has answered
FAILING = (
    PinMinuteRows.table,
    PinMemberRows.table,
)  # whose inserts fail: the first and a later one of a flush, by turns


@dataclass(frozen=True, slots=True)
class WorkerProxies:
    """The proxies of one worker."""

    kafka: tuple[Proxy, ...]  # one a broker
    clickhouse: Proxy


@dataclass(frozen=True, slots=True)
class Stack:
    """What the faults are injected into."""

    folder: Path
    engines: Engines
    settings: Settings  # straight to the engines, for those who check
    proxies: tuple[WorkerProxies, ...]  # one a worker
    sink: ClickHouseSink

    def settings_of(self, proxies: WorkerProxies) -> Settings:
        """The settings of the worker that comes through these proxies."""
        return self.settings.changed(
            kafka_bootstrap_servers=",".join(f"{LOOPBACK}:{proxy.port}" for proxy in proxies.kafka),
            clickhouse_host=LOOPBACK,
            clickhouse_port=proxies.clickhouse.port,
        )


@contextmanager
def open_stack(folder: Path, workers: int, brokers: int, chosen: dict[str, Any], report: Any) -> Iterator[Stack]:
    """Engines, proxies for `workers` workers, tables and topics; the topics still take producers' timestamps.

    `chosen` are settings by name. Raises PintallyError where `local_engines` does.
    """
    ports = iter(_free_ports((2 * brokers + 1) * workers))
    ways = [[(next(ports), next(ports)) for _ in range(workers)] for _ in range(brokers)]  # where Kafka listens, and we
    with ExitStack() as ends:
        listeners = [dict(of_broker) for of_broker in ways]
        engines = ends.enter_context(
            local_engines(folder / "engines", report=report, kafka_proxies=listeners, kafka_brokers=brokers, brief=True)
        )
        loop = ends.enter_context(Proxies())
        proxies = [
            WorkerProxies(
                tuple(Proxy(loop, outer, inner) for inner, outer in of_worker),
                Proxy(loop, next(ports), engines.addresses.clickhouse_port, table=FAILING[number % len(FAILING)]),
            )
            for number, of_worker in enumerate(zip(*ways, strict=True))
        ]
        for proxy in [proxy for each in proxies for proxy in (*each.kafka, each.clickhouse)]:
            proxy.open()
            ends.callback(proxy.close)
        settings = settings_for(engines.addresses, chosen)
        _prepare(settings)
        yield Stack(folder, engines, settings, tuple(proxies), ClickHouseSink(settings.clickhouse, READ_SECONDS))


def _free_ports(count: int) -> list[int]:
    ports: list[int] = []
    for _ in range(count):
        ports.append(free_port(ports))
    return ports


def take_kafkas_clock(settings: Settings) -> None:
    """From now on Kafka stamps each record with its own clock."""
    _configure(settings, {"message.timestamp.type": "LogAppendTime"})


def settings_for(addresses: EngineAddresses, chosen: Mapping[str, Any]) -> Settings:
    """Defaults, not the user's PINTALLY_* variables: a drill depends on its options alone."""
    defaults = {name: each.field.default for name, each in SETTINGS.items()}
    ours = {"clickhouse_database": "drill", "kafka_group_id": "drill", "topic_timestamps": "LogAppendTime"}
    return Settings.of(None, **{**defaults, **addresses.settings(), **ours, **chosen})


def _prepare(settings: Settings) -> None:
    migrate(settings.clickhouse)
    create_topics(*settings.changed(topic_timestamps="CreateTime").sources)
    _configure(settings, {"segment.bytes": str(SEGMENT_BYTES)})


def _configure(settings: Settings, configs: dict[str, str]) -> None:
    set_topic_configs(settings.kafka, dict.fromkeys(settings.topics.names.values(), configs))
