"""Faults wait for the engines that they talk to: injected while one is down, they do their work once it is back."""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka import reach as reach_kafka
from pintally.streams.kafka.topics import describe_topics
from pintally.streams.settings import Settings
from pintally.tools.drill import patience
from pintally.tools.drill.fault_context import NoEffect
from pintally.tools.drill.faults import group, producers
from pintally.tools.drill.probe import Probe
from pintally.tools.drill.producers import Sent, send_events, send_hostile, send_late, send_transactions
from pintally.tools.drill.truth import Expected
from pintally.tools.engines.ready import wait_until
from tests.support.engines import EngineHandle, TestEngines

LIMIT_SECONDS = 180.0


class Noticed:
    """The threads that have found an engine away and are about to try again."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.threads: set[int] = set()
        sleep, asleep = time.sleep, asyncio.sleep

        def pause(seconds: float) -> None:
            self.threads.add(threading.get_ident())
            sleep(seconds)

        async def apause(seconds: float) -> None:
            self.threads.add(threading.get_ident())
            await asleep(seconds)

        patch.setattr(patience, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
        patch.setattr(patience, "asyncio", SimpleNamespace(sleep=apause))
        patch.setattr(reach_kafka, "CONNECT_SECONDS", 0.2)


def while_down(
    engine: EngineHandle, acts: Mapping[str, Callable[[], Any]], patch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Do all of it at once while the engine is down; it is started when each has noticed, or has given up."""
    noticed = Noticed(patch)
    engine.kill()
    with ThreadPoolExecutor(len(acts)) as pool:
        futures = {name: pool.submit(act) for name, act in acts.items()}
        over = wait_until(
            lambda: len(noticed.threads) == len(acts) or any(future.done() for future in futures.values()),
            LIMIT_SECONDS,
        )
        engine.start()
        engine.wait_ready()
        assert over
        return {name: future.result(LIMIT_SECONDS) for name, future in futures.items()}


def context_of(settings: Settings) -> Any:
    stack = SimpleNamespace(settings=settings, sink=ClickHouseSink(settings.clickhouse))
    return SimpleNamespace(stack=stack, rng=random.Random(1), probe=Probe(stack), expected=Expected())


def test_producers_and_questions_wait_for_a_broker_that_was_just_killed(
    stack: Settings, restartable_engines: TestEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka, rules = stack.kafka.bootstrap_servers, stack.rules.to_rules()
    sent = {name: Sent(stack.topics.names[Action.SAVE]) for name in ("transactions", "events", "late", "hostile")}
    done = while_down(
        restartable_engines.kafka,
        {
            "topic": lambda: producers._topic(context_of(stack)),
            "transactions": lambda: asyncio.run(
                send_transactions(kafka, sent["transactions"], Action.SAVE, (1, 2), 2, 2)
            ),
            "events": lambda: asyncio.run(send_events(kafka, sent["events"], Action.SAVE, 3, 20, [0, 1])),
            "late": lambda: asyncio.run(send_late(kafka, sent["late"], Action.SAVE, 20, 2, rules)),
            "hostile": lambda: asyncio.run(send_hostile(kafka, sent["hostile"], Action.SAVE, 2, rules, 1)),
        },
        monkeypatch,
    )
    assert (done["topic"][2], done["transactions"]) == (2, 100)
    assert (sent["transactions"].records, sent["events"].records, sent["late"].records) == (200, 20, 20)
    assert sent["hostile"].records > 7


def test_partitions_are_added_by_a_fault_that_came_while_the_broker_was_down(
    stack: Settings, restartable_engines: TestEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker counts here, so it has no effect, but all that it needs of Kafka it has got."""
    monkeypatch.setattr(group, "COUNTED_SECONDS", 0.5)
    with pytest.raises(NoEffect, match="was not counted"):
        while_down(restartable_engines.kafka, {"add": lambda: group.add_partition(context_of(stack))}, monkeypatch)
    assert sorted(topic.partitions for topic in describe_topics(stack.kafka, stack.topics).values()) == [
        1,
        1,
        1,
        2,
        2,
        3,
    ]


def test_a_setting_of_clickhouse_is_changed_once_it_is_back(
    stack: Settings, restartable_engines: TestEngines, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = context_of(stack).probe
    alter = "ALTER TABLE pin_minutes MODIFY SETTING parts_to_throw_insert = 4321"
    while_down(restartable_engines.clickhouse, {"alter": lambda: probe.alter(alter)}, monkeypatch)
    found = probe.rows("SELECT engine_full LIKE '%parts_to_throw_insert = 4321%' FROM system.tables"
                       " WHERE database = currentDatabase() AND name = 'pin_minutes'")  # fmt: skip
    assert found == [(1,)]
