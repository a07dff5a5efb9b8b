"""Servers listen on loopback unless told otherwise."""

from pathlib import Path

import pytest

from pintally.streams.settings import Settings
from pintally.streams.worker.app import create_app
from tests.support.engines import TestEngines

LISTEN = "0A"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def listening() -> dict[int, set[str]]:
    """Port -> the addresses it is listened on, in the kernel's hexadecimal."""
    found: dict[int, set[str]] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            address, port = local.split(":")
            if state == LISTEN:
                found.setdefault(int(port, 16), set()).add(address)
    return found


def test_the_local_engines_listen_on_loopback_alone(engines: TestEngines) -> None:
    if engines.backend != "local":
        pytest.skip("only local engines are ours to set up")
    addresses, found = engines.addresses, listening()
    kafka = int(addresses.kafka.rpartition(":")[2])
    for port in (kafka, addresses.clickhouse_port, addresses.clickhouse_http_port):
        assert found[port] <= LOOPBACK


def test_by_default_everything_is_looked_for_on_loopback_and_no_web_view_is_served() -> None:
    settings = Settings.of(None)
    assert settings.kafka.bootstrap_servers.startswith("127.0.0.1:")
    assert settings.clickhouse.host == "127.0.0.1"
    assert settings.worker.web_port is None


def test_web_views_are_served_on_loopback() -> None:
    app = create_app(Settings.of(None, web_port=6066, kafka_group_id="web"))
    assert (app.conf.web_enabled, app.conf.web_bind) == (True, "127.0.0.1")
