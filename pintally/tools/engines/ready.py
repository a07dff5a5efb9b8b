"""Whether an engine answers: not that a port is open, but that a request is served.

The clients are imported where they are used: they take longer to load than `pintally --help` may.
"""

import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pintally.tools.engines.addresses import EngineAddresses

PAUSE_S = 0.05


def kafka_answers(bootstrap: str) -> bool:
    """Whether Kafka gives metadata with at least one broker."""
    return bool(_brokers(bootstrap))


def broker_answers(address: str) -> bool:
    """Whether the broker at `address`, host:port, gives metadata that names itself: before it may lead no partition."""
    return address in _brokers(address)


def _brokers(bootstrap: str) -> set[str]:
    """The brokers that metadata name, host:port each; empty if Kafka does not answer."""
    if not _is_open(bootstrap):  # the client below logs and waits where nobody listens
        return set()
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError
    from kafka.net.compat import KafkaNetClient

    made: list[KafkaNetClient] = []

    def client(**options: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**options))
        return made[0]

    quiet = logging.getLogger("kafka")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)
    try:
        # Not describe_cluster(), in which kafka-python 3.0 fails with brokers before 3.7.
        with KafkaAdminClient(
            bootstrap_servers=bootstrap, request_timeout_ms=2_000, bootstrap_timeout_ms=2_000, kafka_client=client
        ) as admin:
            admin.list_topics()
            return {f"{broker.host}:{broker.port}" for broker in made[0].cluster.brokers()}
    except KafkaError:
        return set()
    finally:
        quiet.setLevel(level)


def clickhouse_answers(addresses: EngineAddresses) -> bool:
    """Whether ClickHouse answers a query by its native protocol and listens for HTTP."""
    if not _is_open(f"{addresses.clickhouse_host}:{addresses.clickhouse_http_port}"):
        return False
    from clickhouse_driver import Client
    from clickhouse_driver.errors import Error

    client = Client(
        addresses.clickhouse_host,
        addresses.clickhouse_port,
        user=addresses.clickhouse_user,
        password=addresses.clickhouse_password,
        connect_timeout=2,
        send_receive_timeout=2,
    )
    try:
        return bool(client.execute("SELECT 1") == [(1,)])
    except (Error, OSError, EOFError):
        return False
    finally:
        client.disconnect()


def wait_until(
    condition: Callable[[], object],
    timeout_s: float,
    *,
    excused: tuple[type[Exception], ...] = (),
    pause_s: float = PAUSE_S,
) -> bool:
    """Asks until `condition` holds (True) or `timeout_s` seconds are over (False). Errors `excused` are a no."""
    deadline = time.monotonic() + timeout_s
    while True:
        with suppress(*excused):
            if condition():
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_s)


def _is_open(servers: str) -> bool:
    """Whether the first of the `host:port` listens."""
    host, _, port = servers.split(",")[0].strip().rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2):
            return True
    except OSError:
        return False
