"""What is looked at beside the looks: if it fails, serving ends, for the page would show what it saw last."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pintally.serve.both import run_both
from pintally.serve.looking import Looking
from pintally.serve.served import Served
from pintally.streams.settings import Settings


async def for_ever(*_: object) -> None:
    await asyncio.Event().wait()


async def fails(*_: object) -> None:
    raise ValueError("nobody foresaw it")


@pytest.mark.parametrize("order", [lambda one, other: (one, other), lambda one, other: (other, one)])
def test_what_ends_one_of_them_is_raised_and_the_other_is_cancelled(
    order: Callable[[Any, Any], tuple[Any, Any]],
) -> None:
    ended = []

    async def waits() -> None:
        try:
            await for_ever()
        finally:
            ended.append("waits")

    async def run() -> None:
        await run_both(*order(waits(), fails()))

    with pytest.raises(ValueError, match="nobody foresaw it"):
        asyncio.run(asyncio.wait_for(run(), 10))
    assert ended == ["waits"]


def test_both_are_cancelled_with_who_waits_for_them() -> None:
    ended = []

    async def waits(name: str) -> None:
        try:
            await for_ever()
        finally:
            ended.append(name)

    async def run() -> None:
        task = asyncio.create_task(run_both(waits("one"), waits("other")))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(run(), 10))
    assert sorted(ended) == ["one", "other"]


def raised_by(made: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        await asyncio.wait_for(made(Settings.of(env_file=None)), 10)

    with pytest.raises(ValueError, match="nobody foresaw it"):
        asyncio.run(run())


def test_an_answer_of_a_worker_that_nobody_understands_ends_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pintally.serve.served.AskWorkers.ask", fails)
    monkeypatch.setattr(Looking, "run", for_ever)

    async def serving(settings: Settings) -> None:
        served = Served(settings)
        served.looking.polled()
        await served.run()

    raised_by(serving)


def test_a_look_at_tables_that_fails_ends_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pintally.serve.looking.Asking.ask", fails)
    monkeypatch.setattr(Looking, "_look", for_ever)

    async def serving(settings: Settings) -> None:
        await Looking(settings).run()

    raised_by(serving)
