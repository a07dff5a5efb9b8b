"""A worker and `pintally serve` under systemd say that they run, what they do, that their loop answers, and the end."""

import socket
from pathlib import Path

import pytest

from pintally.streams.settings import Settings
from tests.e2e.running import BUSY, workers
from tests.serve.serving import serving


def heard(listening: socket.socket, words: str) -> list[str]:
    """All that was told until these words. Raises TimeoutError if they do not come."""
    told: list[str] = []
    while not told or words not in told[-1]:
        told.append(listening.recv(4096).decode())
    return told


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """The socket of the service manager; the watchdog is to hear ten times a second."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.settimeout(60 * BUSY)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    return listening


def test_systemd_hears_of_each_step_of_a_worker(stack: Settings, tmp_path: Path, systemd: socket.socket) -> None:
    with systemd, workers(stack, tmp_path) as start:
        worker = start()
        assert heard(systemd, "READY=1")[-1] == "READY=1\nSTATUS=waits for Kafka and its partitions"
        heard(systemd, "STATUS=counts ")
        for _ in range(5):
            heard(systemd, "WATCHDOG=1")
        worker.signal(15)
        heard(systemd, "STOPPING=1")
        assert worker.stop() == 0


def test_systemd_hears_from_a_worker_that_waits_for_kafka(
    settings: Settings, tmp_path: Path, systemd: socket.socket
) -> None:
    nobody = settings.changed(kafka_bootstrap_servers="127.0.0.1:1")
    with systemd, workers(nobody, tmp_path) as start:
        start()
        told = heard(systemd, "READY=1")
        for _ in range(3):
            told += heard(systemd, "WATCHDOG=1")
        assert "counts" not in "".join(told)


def test_systemd_hears_where_serve_listens_and_from_its_loop_also_while_no_engine_answers(
    settings: Settings, tmp_path: Path, systemd: socket.socket
) -> None:
    nobody = settings.changed(kafka_bootstrap_servers="127.0.0.1:1", clickhouse_port=1)
    with systemd, serving(nobody, tmp_path) as serve:
        assert heard(systemd, "READY=1")[-1] == f"READY=1\nSTATUS=serves {serve.url}"
        for _ in range(5):
            heard(systemd, "WATCHDOG=1")
        serve.process.send_signal(15)
        heard(systemd, "STOPPING=1")
        assert serve.stop() == 0
