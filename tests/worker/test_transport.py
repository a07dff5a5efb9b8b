"""The consumer against a broker that answers nothing, as one does that is cut off or starting; or takes no commit."""

import asyncio
from time import monotonic
from typing import Any

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaConnectionError
from faust.types import TP

from pintally.streams.settings import Settings
from pintally.streams.worker import transport
from pintally.streams.worker.app import create_app
from pintally.streams.worker.outage import Outage
from pintally.streams.worker.transport import ChunkConsumerThread
from tests.support.memory_sink import MemorySink

SESSION_SECONDS = 0.5
FAR_SOONER = 120 * SESSION_SECONDS  # than Faust's default of 90 s, and late enough for a busy machine


async def seconds_until_given_up() -> tuple[float, int]:
    """How long a consumer waits for a mute broker, and how many connections it made."""
    connections = 0

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.read(1024):
            pass
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = Settings.of(None, kafka_bootstrap_servers=f"127.0.0.1:{port}", session_timeout_seconds=SESSION_SECONDS)
    app = create_app(settings, MemorySink())
    thread = app.consumer._thread
    consumer = thread._create_worker_consumer(app.transport)
    begun = monotonic()
    try:
        with pytest.raises(KafkaConnectionError):
            await asyncio.wait_for(consumer.start(), FAR_SOONER)
        return monotonic() - begun, connections
    finally:
        await consumer.stop()
        thread.thread_loop.close()
        server.close()
        await server.wait_closed()


def test_a_request_without_an_answer_is_given_up_after_three_sessions() -> None:
    seconds, connections = asyncio.run(seconds_until_given_up())
    assert connections
    assert seconds >= 3 * SESSION_SECONDS  # Kafka holds a join back for as long as a rebalance may take: one session


class NoOffsetsTopic(GroupCoordinator):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's coordinator, whose broker answers heartbeats and takes no commits until `is_well`."""

    coordinator_id = 0
    is_well = False

    def __init__(self) -> None:
        self._commit_lock, self._retry_backoff_ms = asyncio.Lock(), 1

    async def commit(self, offsets: Any) -> None:
        await self.commit_offsets(None, offsets)

    async def _do_commit_offsets(self, *_: Any) -> None:
        if not self.is_well:
            raise GroupCoordinatorNotAvailableError


def test_commits_that_kafka_does_not_take_are_told_of_though_aiokafka_tries_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def call_thread(_: Any, function: Any, *arguments: Any) -> Any:
        return await function(*arguments)

    monkeypatch.setattr(transport, "COMMIT_SECONDS", 0.05)
    monkeypatch.setattr(transport, "KAFKA", Outage("Kafka"))  # other tests leave the one of the process away
    monkeypatch.setattr(ChunkConsumerThread, "call_thread", call_thread)

    async def run() -> list[bool]:
        coordinator = NoOffsetsTopic()
        monkeypatch.setattr(ChunkConsumerThread, "chunked", coordinator)
        thread = ChunkConsumerThread.__new__(ChunkConsumerThread)
        thread.tp_last_committed_at = {}
        refused = await asyncio.wait_for(thread.commit({TP("t", 0): 5}), 30)
        coordinator.is_well = True
        return [refused, await thread.commit({TP("t", 0): 5})]

    assert asyncio.run(run()) == [False, True]
    assert "committing offsets fails" in caplog.text
    assert "committing offsets works again" in caplog.text
