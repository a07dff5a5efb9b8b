"""Errors that a worker meets when a test has it so: kinds whose real cause cannot be made at will.

`python -m tests.e2e.faults [KIND TRIGGER]` is such a worker, or one without errors. Where `pintally worker` would take
its own place it ends, with the exit code for a supervisor.
"""

import asyncio
import gc
import inspect
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.structs import TopicPartition

from pintally.schemas.errors import PintallyError, SinkError
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.log import Chunk
from pintally.streams.kafka.fetching.consumer import ChunkedConsumer
from pintally.streams.settings import load_settings
from pintally.streams.worker import app as app_module
from pintally.streams.worker import flush as flush
from pintally.streams.worker import run
from pintally.streams.worker.backpressure import Backpressure
from pintally.streams.worker.dead_letter_topics import DeadLetterTopics
from pintally.streams.worker.flush import SinkRolledBack
from pintally.streams.worker.table import Refold, SourceTables
from pintally.streams.worker.transport import ChunkConsumerThread


@dataclass(frozen=True, slots=True)
class Kind:
    """What happens, and with what the worker must end."""

    arm: Callable[[], None]
    code: int
    words: str  # in its log


armed = threading.Event()
running: list[Any] = []  # the app


def strike(error: BaseException) -> BaseException:
    """The error, and when it happened."""
    print(f"FAULT {time.time()}", file=sys.stderr, flush=True)
    return error


def install(kind: str, trigger: Path) -> None:
    """Have this process meet the error once the trigger is there."""
    create = app_module.create_app

    def created(*args: Any, **named: Any) -> Any:
        running.append(create(*args, **named))
        return running[-1]

    app_module.create_app = created
    if kind in KINDS:
        KINDS[kind].arm()

    def wait() -> None:
        while not trigger.exists():
            time.sleep(0.005)
        armed.set()
        if kind in AT_ONCE:
            AT_ONCE[kind]()

    threading.Thread(target=wait, daemon=True).start()


def raising(owner: Any, name: str, error: Callable[[], BaseException]) -> Callable[[], None]:
    """A function, or a coroutine, that raises from then on."""

    def arm() -> None:
        real = getattr(owner, name)

        def replaced(*args: Any, **kwargs: Any) -> Any:
            if armed.is_set():
                raise strike(error())
            return real(*args, **kwargs)

        async def replaced_too(*args: Any, **kwargs: Any) -> Any:
            if armed.is_set():
                raise strike(error())
            return await real(*args, **kwargs)

        setattr(owner, name, replaced_too if inspect.iscoroutinefunction(real) else replaced)

    return arm


def fetching(error: Callable[[], BaseException]) -> Callable[[], None]:
    return raising(ChunkedConsumer, "chunks", error)


def bug() -> BaseException:
    return ZeroDivisionError("nobody foresaw this")


def quote_a_record() -> None:
    """The fold fails as a conversion does: with an error that quotes the value."""
    real = SourceFold.fold

    def fold(self: SourceFold, chunk: Chunk) -> None:
        if armed.is_set() and len(chunk):
            strike(bug())
            int(chunk.values[0] or b"nothing")
        real(self, chunk)

    SourceFold.fold = fold  # type: ignore[method-assign]  # of this process, to its end


def nothing() -> None: ...


def in_loop(act: Callable[[], Any]) -> Callable[[], None]:
    """Done in the worker's loop."""
    return lambda: running[0].loop.call_soon_threadsafe(act)


def fail_in_callback() -> None:
    raise strike(bug())


def fail_unseen() -> None:
    async def fail() -> None:
        raise strike(bug())

    asyncio.ensure_future(fail())  # noqa: RUF006 - nobody keeps it: that is what is wrong with it
    running[0].loop.call_later(0.05, gc.collect)


def fail_in_thread() -> None:
    def fail() -> None:
        raise strike(bug())

    threading.Thread(target=fail).start()


def hang() -> None:
    time.sleep(60)


def rejoin() -> None:
    thread = running[0].consumer._thread
    thread.thread_loop.call_soon_threadsafe(thread._consumer._coordinator.request_rejoin)


def out_of_range() -> BaseException:
    topics = running[0].settings.topics.names.values()
    error: BaseException = OffsetOutOfRangeError({TopicPartition(topic, 0): 7 for topic in topics})
    return error


ANEW, UNFORESEEN = "this worker restarts", "nobody foresaw"
KINDS = {
    "fetch-out-of-range-yet-all-is-there": Kind(fetching(out_of_range), 75, ANEW),
    "fetch-forbidden": Kind(fetching(lambda: TopicAuthorizationFailedError("saves")), 2, "kafka-acls.sh"),
    "fetch-odd": Kind(fetching(lambda: KafkaError("odd")), 75, ANEW),
    "fetch-bug": Kind(fetching(bug), 75, UNFORESEEN),
    "fetch-memory": Kind(fetching(MemoryError), 75, ANEW),
    "fetch-bug-while-the-loop-hangs": Kind(fetching(bug), 75, UNFORESEEN),
    "fold-bug": Kind(raising(SourceFold, "fold", bug), 75, UNFORESEEN),
    "fold-quotes-a-record": Kind(quote_a_record, 75, UNFORESEEN),
    "fold-refuses": Kind(raising(SourceFold, "fold", lambda: PintallyError("it is", "Mend it.")), 2, "Mend it."),
    "flush-bug": Kind(raising(flush, "write", bug), 75, UNFORESEEN),
    "flush-refused": Kind(raising(flush, "write", lambda: SinkError("no", "Grant it.")), 2, "Grant it."),
    "flush-rolled-back": Kind(raising(flush, "write", lambda: SinkRolledBack("back", "")), 75, ANEW),
    "letters-forbidden": Kind(
        raising(DeadLetterTopics, "send", lambda: TopicAuthorizationFailedError("saves.dlq")), 2, "kafka-acls.sh"
    ),
    "timer-bug": Kind(raising(Backpressure, "seek_stuck", bug), 75, UNFORESEEN),
    "fetcher-task-bug": Kind(raising(Fetcher, "_get_actions_per_node", bug), 75, UNFORESEEN),
    "heartbeat-forbidden": Kind(
        raising(GroupCoordinator, "_do_heartbeat", lambda: GroupAuthorizationFailedError("group")), 2, "kafka-acls.sh"
    ),
    "heartbeat-odd": Kind(raising(GroupCoordinator, "_do_heartbeat", lambda: KafkaError("odd")), 75, ANEW),
    "coordinator-task-bug": Kind(raising(GroupCoordinator, "_maybe_do_autocommit", bug), 75, ANEW),
    "join-login": Kind(
        raising(GroupCoordinator, "ensure_active_group", lambda: SaslAuthenticationFailed("no")), 2, "PASSWORD"
    ),
    "sender-task-bug": Kind(raising(MessageAccumulator, "drain_by_nodes", bug), 75, UNFORESEEN),
    "commit-bug": Kind(raising(ChunkConsumerThread, "commit", bug), 75, UNFORESEEN),
    "rebalance-bug": Kind(raising(SourceTables, "on_rebalance", bug), 75, UNFORESEEN),
    "assignment-bug": Kind(raising(Refold, "_assign", bug), 75, UNFORESEEN),
    "callback-bug": Kind(nothing, 75, UNFORESEEN),
    "task-bug-nobody-waits-for": Kind(nothing, 75, UNFORESEEN),
    "thread-bug": Kind(nothing, 75, UNFORESEEN),
}
AT_ONCE: dict[str, Callable[[], None]] = {
    "loop-hangs": in_loop(hang),
    "fetch-bug-while-the-loop-hangs": in_loop(hang),
    "coordinator-task-bug": rejoin,
    "join-login": rejoin,
    "rebalance-bug": rejoin,
    "assignment-bug": rejoin,
    "callback-bug": in_loop(fail_in_callback),
    "task-bug-nobody-waits-for": in_loop(fail_unseen),
    "thread-bug": fail_in_thread,
}


def main(arguments: Sequence[str]) -> None:
    """Count until stopped, or until the error."""
    if arguments:
        kind, trigger = arguments
        install(kind, Path(trigger))
    try:
        warnings: list[str] = []
        run.count(load_settings(warnings.append), "INFO", warnings)
    except PintallyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
