"""The consumer against a broker that takes connections and answers nothing, as one does that is cut off or starting."""

import asyncio
from time import monotonic

import pytest
from aiokafka.errors import KafkaConnectionError

from pintally.streams.settings import Settings
from pintally.streams.worker.app import create_app
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
