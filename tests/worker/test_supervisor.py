"""What systemd is told: that a worker runs, what it does, and that its event loop answers, as long as it does."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pintally.streams.worker import supervisor
from pintally.streams.worker.supervisor import answer, tell, watchdog_seconds


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of the service manager, of a worker that it watches."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield listening


def heard(listening: socket.socket) -> list[str]:
    """What was told and not heard yet."""
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(listening.recv(4096).decode())
    return found


def test_a_state_is_told_in_one_message(systemd: socket.socket) -> None:
    tell(READY="1", STATUS="counts 4 sources")
    assert heard(systemd) == ["READY=1\nSTATUS=counts 4 sources"]


def test_an_address_may_be_abstract(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0pintally-{os.getpid()}")
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@pintally-{os.getpid()}")
        tell(READY="1")
        assert listening.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@"])
def test_without_anybody_who_listens_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    tell(READY="1")


def test_nobody_who_does_not_listen_is_waited_for(systemd: socket.socket) -> None:
    for _ in range(1000):
        tell(WATCHDOG="1")
    assert heard(systemd)


def test_the_watchdog_hears_from_a_loop_that_answers_and_not_from_one_that_hangs(systemd: socket.socket) -> None:
    async def run() -> None:
        answers = asyncio.ensure_future(answer())
        while len(told := heard_so_far) < 4:
            told += heard(systemd)
            await asyncio.sleep(0.005)
        heard(systemd)
        time.sleep(0.3)  # it hangs
        assert heard(systemd) == []
        answers.cancel()

    heard_so_far: list[str] = []
    asyncio.run(run())
    assert set(heard_so_far) == {"WATCHDOG=1"}


@pytest.mark.parametrize(("usec", "pid"), [("", ""), ("none", ""), ("60000", "1")])
def test_who_is_not_watched_tells_nothing(usec: str, pid: str, systemd: socket.socket) -> None:
    os.environ.update(WATCHDOG_USEC=usec, WATCHDOG_PID=pid)  # the fixture puts both back
    assert watchdog_seconds() is None
    asyncio.run(answer())
    assert heard(systemd) == []


def test_it_answers_three_times_in_the_time_that_it_has(systemd: socket.socket) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == supervisor.ANSWERS:
            raise asyncio.CancelledError

    with suppress(asyncio.CancelledError):
        asyncio.run(answer(sleep))
    assert sum(slept) == pytest.approx(0.06)
    assert len(heard(systemd)) == supervisor.ANSWERS
