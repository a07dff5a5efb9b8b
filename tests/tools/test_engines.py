"""The local engines: what they keep, when they end and come back, and what is said when they cannot start."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from clickhouse_driver import Client
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from pintally.schemas.errors import PintallyError
from pintally.tools.engines import EngineAddresses, Engines, local_engines
from pintally.tools.engines.ready import wait_until
from tests.support.engines import TestEngines, skip_where_none_run

pytestmark = pytest.mark.engines

LIMIT_S = 60.0
PARENT = """
import dataclasses, json, sys, time
from pathlib import Path
from pintally.tools.engines import local_engines
with local_engines(Path(sys.argv[1])) as engines:
    pids = [engines.kafka.pid, engines.clickhouse.pid]
    print(json.dumps({"pids": pids, "addresses": dataclasses.asdict(engines.addresses)}), flush=True)
    time.sleep(600)
"""


@dataclass
class Local:
    """Local engines and the lines they reported."""

    engines: Engines
    directory: Path
    reports: list[str]


@pytest.fixture(scope="module")
def _supported() -> None:
    skip_where_none_run()


@pytest.fixture(scope="module")
def local(_supported: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    directory = tmp_path_factory.mktemp("local")
    reports: list[str] = []
    with local_engines(directory, report=reports.append) as engines:
        yield Local(engines, directory, reports)


def clickhouse(addresses: EngineAddresses) -> Client:
    return Client(
        addresses.clickhouse_host,
        addresses.clickhouse_port,
        user=addresses.clickhouse_user,
        password=addresses.clickhouse_password,
    )


def insert_ten(addresses: EngineAddresses) -> None:
    with clickhouse(addresses) as client:
        client.execute("CREATE TABLE IF NOT EXISTS kept (n UInt64) ENGINE = MergeTree ORDER BY n")
        client.execute("INSERT INTO kept VALUES", [(n,) for n in range(10)])


def inserted(addresses: EngineAddresses) -> list[tuple[int, int]]:
    with clickhouse(addresses) as client:
        return list(client.execute("SELECT count(), sum(n) FROM kept"))


def produce_ten(addresses: EngineAddresses, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=addresses.kafka)
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    admin.close()
    produce(addresses, topic)


def produce(addresses: EngineAddresses, topic: str) -> None:
    """Ten records."""
    producer = KafkaProducer(bootstrap_servers=addresses.kafka, acks="all")
    for number in range(10):
        producer.send(topic, str(number).encode())
    producer.flush()
    producer.close()


def log_end(addresses: EngineAddresses, topic: str) -> int:
    consumer = KafkaConsumer(bootstrap_servers=addresses.kafka)
    try:
        return int(consumer.end_offsets([TopicPartition(topic, 0)])[TopicPartition(topic, 0)])
    finally:
        consumer.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_sessions_engines_answer(engines: TestEngines) -> None:
    engines.kafka.wait_ready()
    engines.clickhouse.wait_ready()


def test_the_sessions_engines_keep_port_and_data_when_they_are_killed(restartable_engines: TestEngines) -> None:
    engines, addresses = restartable_engines, restartable_engines.addresses
    insert_ten(addresses)
    produce_ten(addresses, "kept-by-the-session")
    for engine in (engines.clickhouse, engines.kafka):
        engine.kill()
        assert engine.pid is None
        engine.start()
        engine.wait_ready()
    assert inserted(addresses) == [(10, 45)]
    assert log_end(addresses, "kept-by-the-session") == 10
    with clickhouse(addresses) as client:
        client.execute("DROP TABLE kept SYNC")


@pytest.mark.usefixtures("_supported")
def test_engines_end_cleanly_with_a_parent_that_is_killed_and_the_next_run_has_ports_and_data(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        said = json.loads(parent.stdout.readline())
        addresses = EngineAddresses(**said["addresses"])
        insert_ten(addresses)
        produce_ten(addresses, "kept")
        parent.kill()
    # While the old engines still stop, a new run waits for their folder instead of failing.
    with local_engines(tmp_path) as engines:
        assert not any(is_running(pid) for pid in said["pids"])
        assert engines.addresses == addresses
        assert inserted(addresses) == [(10, 45)]
        assert log_end(addresses, "kept") == 10


@pytest.mark.parametrize("name", ["ClickHouse", "Kafka"])
def test_a_crashed_engine_is_reported_and_comes_back_on_its_port(local: Local, name: str) -> None:
    engine = local.engines.kafka if name == "Kafka" else local.engines.clickhouse
    before = engine.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert wait_until(lambda: engine.pid not in (None, before), LIMIT_S)
    engine.wait_ready()
    assert f"{name} ended (status 137) and is started again" in local.reports


def test_an_engine_ends_with_its_guard_and_comes_back(local: Local) -> None:
    engine = local.engines.clickhouse
    before = engine.pid
    assert before is not None
    guard = int(Path(f"/proc/{before}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGKILL)
    assert wait_until(lambda: not is_running(before), LIMIT_S)
    assert wait_until(lambda: engine.pid not in (None, before), LIMIT_S)
    engine.wait_ready()


def test_an_engine_that_was_killed_on_purpose_stays_down_until_it_is_started(local: Local) -> None:
    engine = local.engines.clickhouse
    reported = len(local.reports)
    engine.kill()
    assert not wait_until(lambda: engine.pid is not None, 1.0)
    engine.start()
    engine.wait_ready()
    assert local.reports[reported:] == []


def test_clickhouse_outlives_refused_logins(local: Local) -> None:
    addresses, pid = local.engines.addresses, local.engines.clickhouse.pid
    for _ in range(20):
        with (
            pytest.raises(Exception, match="Authentication failed"),
            Client(addresses.clickhouse_host, addresses.clickhouse_port, password="wrong") as client,
        ):
            client.execute("SELECT 1")
    local.engines.clickhouse.wait_ready()
    assert local.engines.clickhouse.pid == pid


def test_a_folder_in_use_is_refused_by_name(local: Local) -> None:
    with pytest.raises(PintallyError, match=rf"the engines in {local.directory} are in use by process {os.getpid()}"):
        local_engines(local.directory).__enter__()


@pytest.mark.usefixtures("_supported")
def test_a_port_in_use_is_refused_by_number_and_engine(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PintallyError, match=rf"port {port} \(clickhouse_http\) is in use"):
            local_engines(tmp_path, clickhouse_http_port=port).__enter__()


def test_a_port_taken_between_choice_and_start_is_told_in_words(local: Local) -> None:
    engine = local.engines.clickhouse
    engine.stop()
    with socket.create_server(("127.0.0.1", local.engines.addresses.clickhouse_port)):
        engine.start()
        with pytest.raises(PintallyError, match="ClickHouse's port is in use"):
            engine.wait_ready()
    engine.start()
    engine.wait_ready()
