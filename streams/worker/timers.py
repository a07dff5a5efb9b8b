"""What a worker does now and then beside counting: flush, look for gaps, ask Kafka, compare clocks, seal."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Any

from pintally.streams.kafka.open_transactions import abort
from pintally.streams.worker.clocks import ClockDifferences
from pintally.streams.worker.fatal import end_by
from pintally.streams.worker.finality import seal_final_hours
from pintally.streams.worker.kafka_watch import HeldBack, ask_why, notice_silence, refuse_others

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
LOOK_SECONDS = 0.05  # whether sources have caught up, while they have not
RESTORING_SECONDS = 0.25  # between flushes while sources are folded again: all their cells are to go out once more
ASK_SECONDS = 5.0
HELD_BACK_SECONDS = 10.0
COMPARE_TOPICS_SECONDS = 15.0


async def every(
    interval: float, sleep: Callable[[float], Awaitable[None]], clock: Callable[[], float] = monotonic
) -> AsyncGenerator[float, None]:
    """Yield every `interval` seconds, first after one; Faust's timers wait that long after each call instead.

    What takes longer is followed at once; none is made up for. If `sleep` ends early, the interval begins there. Yields
    how late the loop was, in seconds."""
    due = clock() + interval
    while True:
        await sleep(max(0.0, due - clock()))
        woke = clock()
        yield max(0.0, woke - due)
        due = max(min(due, woke) + interval, clock())


async def until_caught_up(app: Any, seconds: float, clock: Callable[[], float] = monotonic) -> None:
    """Sleep so long, but only until all sources that were assigned last have come to the end of their logs.

    What they counted on the way is late already, and is to wait for no interval. Nor for all cells of the open slices,
    which go out once more (C15): they are flushed more often meanwhile, so that few are left for the end.
    """
    until = clock() + (min(seconds, RESTORING_SECONDS) if app.tables.restoring.under_way else seconds)
    while app.tables.restoring.behind and clock() < until:
        await app.sleep(min(LOOK_SECONDS, until - clock()))
        if app.tables.restoring.catch_up([(fold, app.end(fold)) for fold in app.tables.folds()]):
            return
    await app.sleep(max(0.0, until - clock()))


def start_timers(app: Any) -> None:
    """Have the app run all of them from its start on. An error in one ends the process."""

    async def guarded(what: str, step: Any) -> Any:
        try:
            return await step
        except Exception as error:  # nothing of it may stay in a log alone
            end_by(app, error, what)
            raise

    @app.task
    async def flush() -> None:
        async for delay in every(app.settings.worker.flush_interval_seconds, partial(until_caught_up, app)):
            if app.should_stop:
                return
            app.flusher.measured.loop_delay = delay
            await guarded("in a flush", app.flusher.flush())
            app.backpressure.pause_if_full()
            app.follow()

    @app.timer(WATCH_SECONDS)
    async def look_for_gaps() -> None:
        if not app.rebalancing:
            await app.backpressure.seek_stuck()

    @app.task
    async def ask() -> None:
        while not app.should_stop:
            await app.sleep(ASK_SECONDS)
            notice_silence(app.consumer.silence, app.settings.worker.session_timeout_seconds)
            await guarded(
                "while Kafka is asked why",
                ask_why(app.settings.kafka, app.settings.topics, app.consumer.unknown_topics()),
            )

    @app.task
    async def compare_topics() -> None:
        kafka, topics, _ = app.settings.sources
        while not app.should_stop:
            await app.sleep(COMPARE_TOPICS_SECONDS)
            counted = [fold.source for fold in app.tables.folds()]
            await guarded("while topics are compared", refuse_others(kafka, topics, app.sink, counted))

    held = HeldBack()

    @app.timer(HELD_BACK_SECONDS)
    async def tell_what_is_held_back() -> None:
        for topic, partition, offset, seconds in held.look(monotonic(), app.consumer.ends()):
            log.warning(
                "%s[%d] has waited %.0f s for an open transaction from offset %d on; `pintally status` names its "
                "producer. If that is gone for good: %s",
                topic, partition, seconds, offset, abort(str(app.settings.kafka), topic, partition, offset),
                extra={"topic": topic, "partition": partition, "offset": offset, "seconds": round(seconds, 1)},
            )  # fmt: skip

    clocks = ClockDifferences()

    @app.task
    async def compare_clocks() -> None:
        await guarded("while clocks are compared", clocks.compare(app.sink))

    @app.task
    async def seal() -> None:
        seconds = app.settings.worker.seal_seconds
        while True:
            await app.sleep(seconds)
            if app.should_stop:
                return
            await guarded("while clocks are compared", clocks.compare(app.sink))
            seconds = await guarded("while sealing", seal_all(app, clocks))


async def seal_all(app: Any, clocks: ClockDifferences) -> float:
    """Seal what is final on each server of ClickHouse, side by side: one that is away does not keep the others waiting.

    Returns the seconds until the next time. What the brokers' clocks show is told once.
    """
    first, *others = app.servers
    assigned = app.consumer.assignment()
    steps = [seal_final_hours(app.settings, first, assigned, clocks.tell)]
    steps += [seal_final_hours(app.settings, server, assigned) for server in others]
    return min(await asyncio.gather(*steps))
