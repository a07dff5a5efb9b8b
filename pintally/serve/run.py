"""`pintally serve` from its settings to its end."""

import asyncio
import contextlib
import signal
from collections.abc import Callable

from pintally.serve.routes import guarded, routes
from pintally.serve.served import Served
from pintally.streams.http.listening import Listening, listen
from pintally.streams.http.server import serving
from pintally.streams.http.targets import SERVE_JOB, announced_target
from pintally.streams.log.setup import log_to_stderr
from pintally.streams.settings import Settings
from pintally.streams.worker import supervisor

SETTING = "PINTALLY_SERVE"


def serve(settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve until SIGTERM, SIGHUP or SIGINT. `tell` gets where. Raises AddressRefused, and what the first look is
    refused."""
    log_to_stderr("INFO", settings.worker.log_format)
    listening = listen(settings.serve.host, settings.serve.port, SETTING)
    with contextlib.closing(listening), announced_target(listening.target, SERVE_JOB, "serve"):
        asyncio.run(_serve(settings, listening, tell))


async def _serve(settings: Settings, listening: Listening, tell: Callable[[str], None]) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    served = Served(settings)
    async with serving(listening, routes(settings, served), guarded(served)):
        tell(listening.url)
        supervisor.tell(READY="1", STATUS=f"serves {listening.url}")
        watched = asyncio.create_task(supervisor.answer())
        looks = asyncio.create_task(served.run())
        waits = asyncio.create_task(ended.wait())
        await asyncio.wait({looks, waits}, return_when=asyncio.FIRST_COMPLETED)
        supervisor.tell(STOPPING="1")
        for task in (looks, waits, watched):
            task.cancel()
        results = await asyncio.gather(looks, waits, watched, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
