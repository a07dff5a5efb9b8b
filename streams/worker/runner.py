"""Faust's worker with an end of our own: it stops when it is told to, in bounded time, and an error ends it at once."""

import logging
import signal
import threading
from contextlib import AsyncExitStack
from typing import Any

import faust

from pintally.streams.http.server import serving
from pintally.streams.log.setup import log_to_stderr
from pintally.streams.worker import supervisor
from pintally.streams.worker.fatal import end_by, end_on_errors, end_on_loop_errors
from pintally.streams.worker.first_lines import say_start
from pintally.streams.worker.process import leave_as_told, watch
from pintally.streams.worker.serving import routes, take_address


class CountingWorker(faust.Worker):  # type: ignore[misc]
    """Runs the app in this process. Both commands use it: `pintally worker`, and Faust's own."""

    app: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._serving = AsyncExitStack()  # to the end of the process

    async def on_first_start(self) -> None:
        """All that can fail from here on is watched."""
        end_on_errors(self.app)
        end_on_loop_errors(self.app, self.loop)
        self.watchdog = self.loop.create_task(supervisor.answer())  # also while Kafka keeps the app from starting
        await super().on_first_start()
        if self.app.listening is None:  # Faust's own command started it
            say_start(self.app.settings)
            self.app.listening = take_address(self.app.settings)
        member = self.app.settings.kafka.group_instance_id
        await self._serving.enter_async_context(serving(self.app.listening, routes(self.app.health, self.app, member)))

    async def start(self) -> None:
        """Run to the end. An error while it starts ends the process as any other."""
        try:
            await super().start()
        except Exception as error:
            end_by(self.app, error, "while it starts")
            raise

    def install_signal_handlers(self) -> None:
        """SIGTERM and SIGINT are taken by a thread of their own, which also has the last word."""
        watch.stop_cleanly = lambda: self.loop.call_soon_threadsafe(self._schedule_shutdown, signal.SIGTERM)
        watch.begin()

    async def _stop_on_signal(self, _: signal.Signals) -> None:
        self._flag_as_shutdown_by_signal()
        await self.stop()
        leave_as_told("stopped")

    def _setup_logging(self) -> None:
        """The log is ours: no colours, tables, spinner, or lines of Faust's services."""
        self.spinner = None
        level, settings = self.loglevel or "INFO", self.app.settings
        name = level if isinstance(level, str) else logging.getLevelName(level)
        watched = threading.excepthook
        log_to_stderr(name, settings.worker.log_format, settings.kafka.group_instance_id)
        threading.excepthook = watched  # an error that ends a thread ends the worker, and is not only logged
