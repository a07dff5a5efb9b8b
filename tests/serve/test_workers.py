"""What is known of a worker that does not answer: since when, whether it has ended, and what it had."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

from aiohttp import web
from prometheus_client import generate_latest

from bench.scrape import worker
from pintally.serve.state import WorkerState
from pintally.serve.workers import AskWorkers
from pintally.streams.worker.health import Health, Stage
from pintally.streams.worker.serving import registry_of
from pintally.tools.engines.ports import free_port

SOURCES = 6


@asynccontextmanager
async def answering(port: int, app: Any = None) -> AsyncIterator[None]:
    """The metrics of a worker of this name at a port."""
    registry = registry_of(Health(Stage.RUNNING), app or worker(SOURCES), "one")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry))

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def known(asking: AskWorkers) -> WorkerState:
    [found] = (await asking.ask()).known
    return found


def test_one_that_ended_is_known_by_its_name_its_sources_and_the_moment() -> None:
    async def ask() -> None:
        port = free_port()
        asking = AskWorkers(f"127.0.0.1:{port}")
        async with answering(port):
            first = await known(asking)
        assert (first.member, first.answers, first.silent_since, first.ended) == ("one", True, None, False)
        assert len(first.sources) == SOURCES
        assert first.process_id == os.getpid()
        gone = await known(asking)
        assert (gone.member, gone.answers, gone.ended, gone.sources) == ("one", False, True, first.sources)
        assert gone.heard
        assert gone.process_id == os.getpid()
        assert gone.silent_since is not None
        assert (await known(asking)).silent_since == gone.silent_since
        async with answering(port):
            assert (await known(asking)).silent_since is None

    asyncio.run(ask())


def test_when_records_last_became_visible_is_known_once_they_do() -> None:
    async def ask() -> None:
        port, app = free_port(), worker(SOURCES)
        asking = AskWorkers(f"127.0.0.1:{port}")
        async with answering(port, app):
            await asking.ask()
            assert (await asking.ask()).visible_at is None  # nothing did since we look
            before = time.time()
            app.flusher.measured.freshness.observe(("engagement.save.v1",), 0.5, 7)
            seen = (await asking.ask()).visible_at
            assert seen is not None
            assert seen >= before
            assert (await asking.ask()).visible_at == seen

    asyncio.run(ask())


def test_one_that_hangs_has_not_ended() -> None:
    async def ask() -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as silent:  # it listens, and nobody answers
            hangs = await known(AskWorkers(f"127.0.0.1:{silent.getsockname()[1]}"))
        assert (hangs.member, hangs.answers, hangs.ended, hangs.heard) == (None, False, False, False)
        assert hangs.silent_since is not None

    asyncio.run(ask())
