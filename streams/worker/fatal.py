"""What becomes of an error that nobody caught, anywhere in a running worker: the process ends at once, by us (C17).

Faust would stop service by service and wait for threads that the same error has ended; mode and aiokafka would only log
some errors, and the worker would keep its partitions and count nothing. All of that ends here, in one of three ways:
ClickHouse's, Kafka's or the log's refusals as at the start (exit code 2), a restart for what a fresh process may mend
(75), and 2 where fresh processes have met the same again and again.

Touches mode internals (0.4): `Service.crash`.
"""

import asyncio
import logging
import threading
from collections.abc import Iterable
from typing import Any, Protocol

import mode
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from pintally.schemas.errors import PintallyError, Unavailable
from pintally.sinks.base import Sink
from pintally.streams.kafka.errors import is_transient, refusal_of
from pintally.streams.log.exceptions import named
from pintally.streams.log.libraries import asyncio_words
from pintally.streams.settings import Settings
from pintally.streams.worker.assignment import look_up
from pintally.streams.worker.flush import SinkRolledBack
from pintally.streams.worker.process import end_process, refuse, restarts, watch

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # for the ledger and the log to say why; else the restarted worker finds it out
TRIED = 4  # workers in a row that ended by an error that nobody foresaw


class Worker(Protocol):
    """What is asked of the app."""

    settings: Settings
    sink: Sink


def end_on_errors(worker: Worker) -> None:
    """From now on an error that Faust calls a crash, or that ends a thread, ends the process."""

    async def crash(self: Any, reason: BaseException) -> None:
        if isinstance(reason, asyncio.CancelledError):  # a rebalance, or a stop
            await faust_crash(self, reason)
        else:
            end_by(worker, reason, f"in {self.label}")

    faust_crash = mode.Service.crash
    mode.Service.crash = crash
    threading.excepthook = lambda ended: end_by(
        worker, ended.exc_value or ended.exc_type(), f"in thread {ended.thread and ended.thread.name}"
    )


def end_on_loop_errors(worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
    """The same for what a loop would only log: errors in callbacks and in tasks that nobody waits for."""

    def failed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or isinstance(error, (OSError, EOFError, TimeoutError, asyncio.CancelledError)):
            _say_passing(context["message"], error)  # connections come and go
        elif isinstance(error, KafkaError) and is_transient(error):
            _say_passing(context["message"], error)
        else:
            end_by(worker, error, f"in the background ({asyncio_words(context['message'])})")

    loop.set_exception_handler(failed)


def _say_passing(said: str, error: BaseException | None) -> None:
    log.info("in the background: %s: %s", asyncio_words(said), named(error) if error else "no exception")


def end_with(worker: Worker, what: str, tasks: Iterable["asyncio.Task[Any] | None"]) -> None:
    """The same for tasks that are to run as long as the worker: without them it would count nothing, and not say so."""

    def ended(task: "asyncio.Task[Any]") -> None:
        if not task.cancelled() and (error := task.exception()):
            end_by(worker, error, f"in {what}")

    for task in tasks:
        if task:
            task.add_done_callback(ended)


def end_by(worker: Worker, error: BaseException, where: str) -> None:
    """End the process by this error; returns only if it was told to stop, which goes on then. From any thread."""
    if watch.told:
        log.info("while it stops, an error %s: %s", where, named(error))
        return
    cause = error
    if isinstance(error, KafkaError) and isinstance(error.__cause__, Exception):
        cause = error.__cause__  # aiokafka raises what its tasks have met as an error of its own
    if isinstance(cause, OffsetOutOfRangeError):
        cause = _why_out_of_range(worker, cause)
    if isinstance(cause, KafkaError):
        cause = refusal_of(cause, worker.settings.kafka, worker.settings.topics, where) or cause
    if isinstance(cause, PintallyError) and not isinstance(cause, (SinkRolledBack, Unavailable)):
        refuse(cause)
    elif isinstance(cause, PintallyError):
        end_process(cause.what)
    elif isinstance(cause, KafkaError):
        end_process(f"{where}: {named(cause)}")
    else:
        _unforeseen(cause, where)


def _unforeseen(error: BaseException, where: str) -> None:
    log.error("an error that nobody foresaw, %s: %s", where, named(error), exc_info=error)
    if restarts() >= TRIED and not isinstance(error, MemoryError):
        refuse(
            PintallyError(
                f"{restarts() + 1} workers in a row ended by an error that nobody foresaw, {where}: {named(error)}",
                "Report it with the traceback above. Until it is mended nothing of this partition is counted.",
            )
        )
    end_process(f"{where}: {named(error)}")


def _why_out_of_range(worker: Worker, error: OffsetOutOfRangeError) -> BaseException:
    """What a worker that starts now would say of these partitions, if it is known soon; else `error`."""
    found: list[BaseException] = []

    def look() -> None:
        try:
            look_up(*worker.settings.sources, worker.sink, [(tp.topic, tp.partition) for tp in error.args[0]])
        except PintallyError as refusal:
            found.append(refusal)

    looking = threading.Thread(target=look, name="look", daemon=True)
    looking.start()
    looking.join(LOOK_SECONDS)
    return found[0] if found and not isinstance(found[0], Unavailable) else error
