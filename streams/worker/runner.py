"""Faust's worker with an end of our own: it stops when it is told to, in bounded time, and an error ends it at once."""

import asyncio
import logging
import signal
import threading
from contextlib import AsyncExitStack
from typing import Any

import faust
from faust.exceptions import ConsumerNotStarted
from kafka.errors import KafkaError

from pintally.schemas.errors import PintallyError
from pintally.streams.http.server import serving
from pintally.streams.kafka.leaving import leave_group
from pintally.streams.log.exceptions import named
from pintally.streams.log.setup import log_to_stderr
from pintally.streams.worker import supervisor
from pintally.streams.worker.fatal import end_by, end_on_errors, end_on_loop_errors
from pintally.streams.worker.first_lines import say_start
from pintally.streams.worker.process import leave_as_told, watch
from pintally.streams.worker.serving import routes, take_address

log = logging.getLogger(__name__)


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
        if self.app.settings.kafka.group_instance_id:
            await self._stop_in_place()
        else:
            await self.stop()
        leave_as_told("stopped")

    async def _stop_in_place(self) -> None:
        """Of a static member, whose place Kafka keeps: the next worker of its name waits for no more than this."""
        await self.app.flush_the_last()
        if watch.for_good:
            await self._leave()

    async def _leave(self) -> None:
        """Also a static member may leave, if no worker of its name comes again soon."""
        kafka = self.app.settings.kafka
        try:
            if member_id := self.app.consumer.member_id:
                await asyncio.to_thread(leave_group, kafka, member_id)
                log.info("it has left group %s, which gives its partitions to others", kafka.group_id)
        except (PintallyError, KafkaError, ConsumerNotStarted) as error:
            log.warning("it stays in group %s until its session is over: %s", kafka.group_id, named(error))

    def _setup_logging(self) -> None:
        """The log is ours: no colours, tables, spinner, or lines of Faust's services."""
        self.spinner = None
        level, settings = self.loglevel or "INFO", self.app.settings
        name = level if isinstance(level, str) else logging.getLevelName(level)
        watched = threading.excepthook
        log_to_stderr(name, settings.worker.log_format, settings.kafka.group_instance_id)
        threading.excepthook = watched  # an error that ends a thread ends the worker, and is not only logged
