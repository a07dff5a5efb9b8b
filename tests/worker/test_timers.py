"""Periodic work keeps its pace, however long it takes."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from pintally.schemas.sources import Source
from pintally.streams.settings import Settings
from pintally.streams.worker import finality, timers
from pintally.streams.worker.clocks import ClockDifferences, Reading
from pintally.streams.worker.finality import Server
from pintally.streams.worker.restoring import Restoring
from pintally.streams.worker.timers import every, until_caught_up


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def begun(clock: Clock, took: list[float]) -> list[float]:
    """When each piece of work began, given how long each takes."""
    begins: list[float] = []
    steps = every(1.0, clock.sleep, clock)
    for seconds in took:
        await anext(steps)
        begins.append(round(clock.now, 6))
        clock.now += seconds
    await steps.aclose()
    return begins


@pytest.mark.parametrize(
    ("took", "expected"),
    [
        ([0.0, 0.0, 0.0], [101.0, 102.0, 103.0]),
        ([0.4, 0.9, 0.1], [101.0, 102.0, 103.0]),
        ([1.5, 0.1, 0.1], [101.0, 102.5, 103.5]),  # at once, and from then on a second apart
        ([3.2, 3.2, 0.0], [101.0, 104.2, 107.4]),
    ],
)
def test_the_next_begins_an_interval_after_the_last_began_or_as_soon_as_that_is_done(
    took: list[float], expected: list[float]
) -> None:
    assert asyncio.run(begun(Clock(), took)) == expected


def test_it_says_how_late_the_loop_was_and_not_how_long_the_work_took() -> None:
    clock = Clock()
    late = iter([0.0, 0.25, 0.0])

    async def sleep(seconds: float) -> None:
        clock.now += seconds + next(late)

    async def delays() -> list[float]:
        steps = every(1.0, sleep, clock)
        found = []
        for took in (0.5, 0.0, 3.0):
            found.append(await anext(steps))
            clock.now += took
        await steps.aclose()
        return found

    assert asyncio.run(delays()) == [0.0, 0.25, 0.0]


def test_an_interval_begins_where_the_sleep_before_it_ended_early() -> None:
    clock = Clock()
    early = iter([0.7, 0.0, 0.0])

    async def sleep(seconds: float) -> None:
        clock.now += seconds - next(early)

    async def begins() -> list[float]:
        steps = every(1.0, sleep, clock)
        found = []
        for took in (0.2, 0.2, 0.2):
            await anext(steps)
            found.append(round(clock.now, 6))
            clock.now += took
        await steps.aclose()
        return found

    assert asyncio.run(begins()) == [100.3, 101.3, 102.3]


@pytest.mark.parametrize(
    ("end", "slept"),
    [
        (lambda _seconds: 1000, 1.0),  # far behind all the time
        (lambda seconds: 1000 if seconds < 0.3 else 400, 0.3),  # it has folded all that there is
        (lambda seconds: None if seconds < 0.5 else 400, 0.5),  # nothing is known of its log before
    ],
)
def test_a_flush_waits_no_longer_than_sources_need_to_catch_up(
    end: Callable[[float], int | None], slept: float
) -> None:
    clock, app = Clock(), restored(flushed=300, position=400)
    began = clock.now
    app.end = lambda _fold: end(round(clock.now - began, 6))
    app.sleep = clock.sleep
    asyncio.run(until_caught_up(app, 1.0, clock))
    assert round(clock.now - began, 6) == slept
    asyncio.run(until_caught_up(app, 1.0, clock))
    assert round(clock.now - began - slept, 6) == 1.0


def test_while_sources_are_folded_again_flushes_are_more_frequent() -> None:
    clock, app = Clock(), restored(flushed=500, position=400)
    began = clock.now
    app.end = lambda _fold: 1000
    app.sleep = clock.sleep
    asyncio.run(until_caught_up(app, 1.0, clock))
    assert round(clock.now - began, 6) == timers.RESTORING_SECONDS
    asyncio.run(until_caught_up(app, 0.1, clock))
    assert round(clock.now - began, 6) == timers.RESTORING_SECONDS + 0.1


def restored(flushed: int, position: int) -> SimpleNamespace:
    """An app with one source that was assigned, and was looked at after a flush."""
    fold, restoring = SimpleNamespace(source=Source("a", UUID(int=1), 0), position=position), Restoring()
    restoring.begin(0.0)
    restoring.expect(fold.source, flushed)
    restoring.all_assigned()
    restoring.look(cast(Any, [fold]), 1.0)
    return SimpleNamespace(tables=SimpleNamespace(restoring=restoring, folds=lambda: [fold]))


def test_all_servers_are_sealed_side_by_side_and_the_next_time_is_the_soonest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both() -> float:
        all_began = asyncio.Barrier(2)

        async def seal(_settings: object, server: float, _assigned: object, tell: object = None) -> float:
            await all_began.wait()
            told.append((server, tell))
            return server

        monkeypatch.setattr(timers, "seal_final_hours", seal)
        app = SimpleNamespace(settings=None, servers=[7.0, 5.0], consumer=SimpleNamespace(assignment=set))
        async with asyncio.timeout(60):
            return await timers.seal_all(app, cast(ClockDifferences, SimpleNamespace(tell="clocks")))

    told: list[tuple[float, object]] = []
    assert asyncio.run(both()) == 5.0
    assert sorted(told) == [(5.0, None), (7.0, "clocks")]


def test_sealing_of_many_shards_keeps_no_flush_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took all threads that asyncio has, for as long as it lasted."""
    over, shards = threading.Event(), 40
    all_began = threading.Barrier(shards + 1)

    def look(*_: object) -> SimpleNamespace:
        all_began.wait(60)
        over.wait(60)
        clocks = Reading(0, 0, 0)
        return SimpleNamespace(clocks=clocks, passed_ms=None, source_clocks={}, behind_ms={})

    monkeypatch.setattr(finality, "look", look)
    monkeypatch.setattr(finality, "_seal", lambda *_: False)
    settings, nothing = Settings.of(None), cast(Any, None)
    assigned = {(min(settings.topics.names.values()), 0)}
    app = SimpleNamespace(
        settings=settings,
        servers=[Server(nothing, nothing) for _ in range(shards)],
        consumer=SimpleNamespace(assignment=lambda: assigned),
    )

    async def run() -> None:
        sealing = asyncio.create_task(timers.seal_all(app, ClockDifferences()))
        async with asyncio.timeout(60):
            await asyncio.to_thread(all_began.wait, 50)
            assert not sealing.done()
            over.set()
            await sealing

    try:
        asyncio.run(run())
    finally:
        over.set()
        all_began.abort()
