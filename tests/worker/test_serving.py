"""What a worker serves before it counts, and where."""

import asyncio
import os
from pathlib import Path

import aiohttp
import pytest

from pintally.streams.http.listening import AddressRefused, Listening
from pintally.streams.http.server import serving
from pintally.streams.http.targets import WORKER_JOB, announced_targets
from pintally.streams.settings import Settings
from pintally.streams.worker.health import Health, Stage
from pintally.streams.worker.process import watch
from pintally.streams.worker.serving import NAMELESS, routes, take_address


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(watch, "leaving", watch.leaving)
    return tmp_path / "targets"


def settings(**values: object) -> Settings:
    return Settings.of(None, **values)


async def answers(listening: Listening, stage: Stage) -> dict[str, int]:
    async with serving(listening, routes(Health(stage))), aiohttp.ClientSession() as session:
        statuses = {}
        for path in ("/livez", "/startupz", "/readyz", "/metrics"):
            async with session.get(f"{listening.url}{path}") as answer:
                statuses[path] = answer.status
        return statuses


@pytest.mark.parametrize(("stage", "startup"), [(Stage.WAITING, 200), (Stage.STARTING, 503)])
def test_a_worker_that_does_not_count_yet_lives_and_is_not_ready(folder: Path, stage: Stage, startup: int) -> None:
    listening = take_address(settings(), folder)
    try:
        found = asyncio.run(answers(listening, stage))
    finally:
        listening.close()
    assert found == {"/livez": 200, "/startupz": startup, "/readyz": 503, "/metrics": 200}


def test_its_address_is_told_and_forgotten_at_a_clean_end(folder: Path) -> None:
    listening = take_address(settings(kafka_group_instance_id="one"), folder)
    assert announced_targets(WORKER_JOB, folder) == [f"127.0.0.1:{listening.port}"]
    watch.leaving()
    assert announced_targets(WORKER_JOB, folder) == []
    listening.close()


def test_a_restart_keeps_the_port_unless_another_process_took_it(folder: Path) -> None:
    named = settings(kafka_group_instance_id="one")
    first = take_address(named, folder)
    port = first.port
    first.close()  # and is killed: its file stays
    second = take_address(named, folder)
    assert second.port == port
    third = take_address(named, folder)
    assert third.port != port
    second.close()
    third.close()


def test_a_port_that_is_set_is_taken_or_refused(folder: Path) -> None:
    first = take_address(settings(), folder)
    port = first.port
    taken = settings(metrics_port=port)
    with pytest.raises(AddressRefused):
        take_address(taken, folder)
    first.close()
    second = take_address(taken, folder)
    assert second.port == port
    second.close()


def test_files_of_nameless_workers_that_were_killed_are_removed(folder: Path) -> None:
    folder.mkdir()
    gone = os.fork()
    if not gone:
        os._exit(0)
    os.waitpid(gone, 0)
    (folder / f"{NAMELESS}{gone}.json").write_text("[]")
    (folder / "worker-one.json").write_text("[]")
    take_address(settings(), folder).close()
    assert {file.name for file in folder.iterdir()} == {f"{NAMELESS}{os.getpid()}.json", "worker-one.json"}
