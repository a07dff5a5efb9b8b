"""The engines the tests run against: given addresses, containers or local processes, with one shape for all."""

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pintally.tools.engines import EngineAddresses, clickhouse, kafka, local_engines
from pintally.tools.engines.jars import LOCK
from pintally.tools.engines.ports import free_port
from pintally.tools.engines.ready import clickhouse_answers, kafka_answers, wait_until
from tests.compatibility.versions import kafka_locks

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

    from pintally.sinks.clickhouse.address import ClickHouseAddress
    from pintally.streams.settings import Settings

BACKENDS = ("environment", "containers", "local")
KAFKA_IMAGE = os.environ.get("PINTALLY_TEST_KAFKA_IMAGE", "apache/kafka:4.1.0")
CLICKHOUSE_IMAGE = os.environ.get("PINTALLY_TEST_CLICKHOUSE_IMAGE", "clickhouse/clickhouse-server:26.7")
KAFKA = os.environ.get("PINTALLY_TEST_KAFKA")  # another version of the local Kafka: `python -m tests.compatibility`
READY_LIMIT_S = 120.0
# Engines of tests end before code that is optimized pays.
kafka.JVM = (*kafka.JVM, kafka.BRIEF)
clickhouse.PROFILE |= clickhouse.BRIEF
# An idle broker writes two records a second of its own, which costs it a quarter of its CPU time.
kafka.BROKER += "metadata.max.idle.interval.ms=0\n"


class EngineHandle(Protocol):
    """One engine that a test may take down. Its port stays the same over a restart."""

    @property
    def pid(self) -> int | None:
        """Process id; None while it is down or where it cannot be known."""

    def kill(self) -> None:
        """SIGKILL; down until `start`."""

    def stop(self) -> None:
        """Stop cleanly; down until `start`."""

    def start(self) -> None:
        """Start again on the same data; `wait_ready` tells when it can be used."""

    def wait_ready(self, timeout_s: float = READY_LIMIT_S) -> None:
        """Return once the engine answers; raises otherwise."""


@dataclass(frozen=True)
class TestEngines:
    """What the session fixture `engines` gives."""

    __test__ = False

    backend: str
    addresses: EngineAddresses
    kafka: EngineHandle
    clickhouse: EngineHandle

    @property
    def can_restart(self) -> bool:
        """Whether tests may kill and start these engines."""
        return self.backend != "environment"


class Foreign:
    """An engine that is not ours: it can be waited for, and no more."""

    pid = None

    def __init__(self, answers: Callable[[], bool]) -> None:
        self._answers = answers

    def kill(self) -> None:
        raise RuntimeError("these engines were given by PINTALLY_* variables: tests may not take them down")

    stop = start = kill

    def wait_ready(self, timeout_s: float = READY_LIMIT_S) -> None:
        if not wait_until(self._answers, timeout_s):
            raise TimeoutError(f"no answer within {timeout_s} s from the engine that PINTALLY_* variables name")


class Container:
    """An engine in a container with a fixed port on the host."""

    def __init__(self, container: "DockerContainer", answers: Callable[[], bool]) -> None:
        self._container = container.get_wrapped_container()
        self._answers = answers

    @property
    def pid(self) -> int | None:
        self._container.reload()
        return self._container.attrs["State"]["Pid"] or None

    def kill(self) -> None:
        self._container.kill()
        self._container.wait()

    def stop(self) -> None:
        self._container.stop()

    def start(self) -> None:
        self._container.start()

    def wait_ready(self, timeout_s: float = READY_LIMIT_S) -> None:
        if not wait_until(lambda: self.pid is None or self._answers(), timeout_s) or self.pid is None:
            logs = self._container.logs(tail=20).decode(errors="replace")
            raise TimeoutError(f"{self._container.image} ended or gave no answer in {timeout_s} s; its log:\n{logs}")


def choose_backend(environment: dict[str, str], docker: Callable[[], bool]) -> str:
    """PINTALLY_TEST_ENGINES, else the first that can be had; `docker()` tells whether a Docker daemon answers."""
    forced = environment.get("PINTALLY_TEST_ENGINES", "")
    if forced and forced not in BACKENDS:
        raise ValueError(f"PINTALLY_TEST_ENGINES={forced}: must be one of {', '.join(BACKENDS)}")
    if forced:
        return forced
    if environment.get("PINTALLY_KAFKA_BOOTSTRAP_SERVERS") and environment.get("PINTALLY_CLICKHOUSE_HOST"):
        return "environment"
    return "containers" if docker() else "local"


def docker_answers() -> bool:
    """Whether a Docker daemon answers within two seconds."""
    if not _docker_listens(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")):
        return False
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=2)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def _docker_listens(host: str) -> bool:
    """Whether anybody listens at a Unix socket. The docker package leaves a socket open where nobody does."""
    if not host.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(2)
        try:
            knock.connect(host.removeprefix("unix://"))
        except OSError:
            return False
    return True


def skip_where_none_run() -> None:
    """Skip a test of local engines, with the reason, on a machine for which there are none."""
    import pytest

    from pintally.schemas.errors import PintallyError
    from pintally.tools.engines.library import package_for_this_machine

    try:
        package_for_this_machine()
    except PintallyError as error:
        pytest.skip(error.what)


@contextmanager
def open_engines(backend: str, directory: Path) -> Iterator[TestEngines]:
    """Engines of that backend, ready; what was started is stopped and removed at the end."""
    match backend:
        case "environment":
            yield _given()
        case "containers":
            with _containers() as engines:
                yield engines
        case _:
            with local_engines(directory, kafka_lock=kafka_locks()[KAFKA] if KAFKA else LOCK) as local:
                yield TestEngines("local", local.addresses, local.kafka, local.clickhouse)


def _given() -> TestEngines:
    from pintally.streams.settings import Settings

    settings = Settings.of(None)
    addresses = EngineAddresses(
        kafka=settings.kafka.bootstrap_servers,
        clickhouse_host=settings.clickhouse.host,
        clickhouse_port=settings.clickhouse.port,
        clickhouse_http_port=settings.clickhouse.http_port,
        clickhouse_user=settings.clickhouse.user,
        clickhouse_password=settings.clickhouse.password.get_secret_value(),
    )
    kafka = Foreign(lambda: kafka_answers(addresses.kafka))
    clickhouse = Foreign(lambda: clickhouse_answers(addresses))
    kafka.wait_ready(30)
    clickhouse.wait_ready(30)
    return TestEngines("environment", addresses, kafka, clickhouse)


@contextmanager
def _containers() -> Iterator[TestEngines]:
    """Ports are chosen here and not by Docker, which would choose others at each restart of a container."""
    ports: list[int] = []
    for _ in range(3):
        ports.append(free_port(ports))
    kafka_port, native, http = ports
    with ExitStack() as stack:
        kafka_container = stack.enter_context(kafka_in_container(kafka_port))
        clickhouse_container = stack.enter_context(clickhouse_in_container(native, http))
        host = docker_host(kafka_container)
        addresses = EngineAddresses(f"{host}:{kafka_port}", host, native, http, "pintally", "pintally")
        kafka = Container(kafka_container, lambda: kafka_answers(addresses.kafka))
        clickhouse = Container(clickhouse_container, lambda: clickhouse_answers(addresses))
        clickhouse.wait_ready()
        kafka.wait_ready()
        yield TestEngines("containers", addresses, kafka, clickhouse)


def docker_host(container: "DockerContainer") -> str:
    """Where published ports are reached. Not `localhost`, which some clients try as IPv6 first."""
    host = container.get_docker_client().host()
    return "127.0.0.1" if host == "localhost" else host


def kafka_in_container(port: int) -> "DockerContainer":
    """One node of apache/kafka. testcontainers' own KafkaContainer knows Confluent's image only."""
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    return container.with_envs(
        KAFKA_NODE_ID="1",
        KAFKA_PROCESS_ROLES="broker,controller",
        KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9094",
        KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
        KAFKA_INTER_BROKER_LISTENER_NAME="INTERNAL",
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,HOST:PLAINTEXT",
        KAFKA_LISTENERS="CONTROLLER://:9094,INTERNAL://:9093,HOST://:9092",
        KAFKA_ADVERTISED_LISTENERS=f"INTERNAL://localhost:9093,HOST://{docker_host(container)}:{port}",
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
        KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS="1",
        KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
        KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS="1",
        KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
        KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
        KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS="1000",
        KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
        KAFKA_BROKER_SESSION_TIMEOUT_MS="3000",
        KAFKA_BROKER_HEARTBEAT_INTERVAL_MS="500",
        KAFKA_HEAP_OPTS="-Xms128m -Xmx512m",
    )


def clickhouse_in_container(native: int, http: int) -> "DockerContainer":
    """One clickhouse-server; its user has a password, so that the tests also pass through a login."""
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(CLICKHOUSE_IMAGE).with_bind_ports(9000, native).with_bind_ports(8123, http)
    return container.with_envs(CLICKHOUSE_USER="pintally", CLICKHOUSE_PASSWORD="pintally")


@contextmanager
def topics_and_tables(settings: "Settings", addresses: EngineAddresses) -> Iterator[None]:
    """The topics and tables of these settings, dropped at the end."""
    from pintally.streams.kafka.topics import create_topics

    with tables_of(settings, addresses):
        try:
            create_topics(*settings.sources)
            yield
        finally:
            drop_topics(addresses, settings.topics.topic_prefix)


@contextmanager
def tables_of(settings: "Settings", addresses: EngineAddresses) -> Iterator[None]:
    """The tables of these settings, dropped at the end."""
    from pintally.sinks.clickhouse.migrate import migrate

    try:
        migrate(settings.clickhouse)
        yield
    finally:
        drop_database(addresses, settings.clickhouse.database)


@contextmanager
def own_tables(addresses: EngineAddresses) -> Iterator["Settings"]:
    """Settings of a database with all tables and nothing in them, for tests that need no topics; dropped at the end."""
    from pintally.streams.settings import Settings

    name = f"t{uuid.uuid4().hex[:12]}"
    settings = Settings.of(env_file=None, **addresses.settings(), clickhouse_database=name, topic_prefix=f"{name}.")
    with tables_of(settings, addresses):
        yield settings


@contextmanager
def tables(addresses: EngineAddresses) -> Iterator["ClickHouseAddress"]:
    """The address of such a database."""
    with own_tables(addresses) as settings:
        yield settings.clickhouse


def drop_database(addresses: EngineAddresses, database: str) -> None:
    """Drop a test's database."""
    from clickhouse_driver import Client

    with Client(
        addresses.clickhouse_host,
        addresses.clickhouse_port,
        user=addresses.clickhouse_user,
        password=addresses.clickhouse_password,
    ) as client:
        client.execute(f"DROP DATABASE IF EXISTS `{database}` SYNC")


def drop_topics(addresses: EngineAddresses, prefix: str) -> None:
    """Delete every topic whose name starts with `prefix`."""
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=addresses.kafka)
    try:
        topics = [name for name in _topic_names(admin) if name.startswith(prefix)]
        if topics:
            admin.delete_topics(topics)
    finally:
        admin.close()


def _topic_names(admin: Any) -> list[str]:
    return [entry["name"] if isinstance(entry, dict) else str(entry) for entry in admin.list_topics()]
