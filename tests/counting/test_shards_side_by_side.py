"""Steps of several shards at the same time: each ends when all have ended, and only then the next one begins."""

from collections.abc import Callable
from threading import Barrier, Event
from typing import Any

import pytest

from pintally.schemas.errors import SinkUnavailable
from pintally.sinks.base import SinkSession
from pintally.sinks.shards import ShardedSink, side_by_side
from pintally.streams.counting.shards import furthest_behind
from tests.support.cells import cells
from tests.support.logs import SOURCE
from tests.support.memory_sink import MemorySession, MemorySink

SHARDS, PATIENCE_SECONDS = 3, 10.0
STEPS: dict[str, Callable[[SinkSession], object]] = {
    "read_ledgers": lambda session: session.read_ledgers([SOURCE]),
    "read_back": lambda session: session.read_back([SOURCE]),
    "write_cells": lambda session: session.write_cells(cells()),
    "write_ledger": lambda session: session.write_ledger([]),
}


class Meeting(MemorySink):
    """A server that answers when all servers were asked, and writes down which step was taken."""

    def __init__(self, barrier: Barrier, seen: list[str]) -> None:
        super().__init__()
        self.barrier, self.seen = barrier, seen

    def open_session(self) -> MemorySession:
        self.barrier.wait(PATIENCE_SECONDS)
        return MeetingSession(self)


class MeetingSession(MemorySession):
    sink: Meeting

    def __getattribute__(self, name: str) -> Any:
        if name in STEPS:
            self.sink.barrier.wait(PATIENCE_SECONDS)
            self.sink.seen.append(name)
        return super().__getattribute__(name)


def test_no_step_begins_before_all_shards_have_taken_the_one_before() -> None:
    barrier, seen = Barrier(SHARDS), list[str]()
    with ShardedSink([Meeting(barrier, seen) for _ in range(SHARDS)], furthest_behind).session() as session:
        for take in STEPS.values():
            take(session)
    assert seen == [name for name in STEPS for _ in range(SHARDS)]


def test_a_step_that_fails_on_one_shard_ends_when_the_others_have_ended() -> None:
    failed, ended = Event(), list[int]()

    def fail() -> None:
        failed.set()
        raise SinkUnavailable("away")

    def go_on() -> None:
        assert failed.wait(PATIENCE_SECONDS)
        ended.append(1)

    with pytest.raises(SinkUnavailable, match="away"):
        side_by_side([go_on, fail, go_on])
    assert ended == [1, 1]


def test_sessions_that_were_opened_are_over_where_another_shard_is_away() -> None:
    class Away(MemorySink):
        def open_session(self) -> MemorySession:
            raise SinkUnavailable("away")

    class Kept(MemorySink):
        def open_session(self) -> MemorySession:
            opened.append(super().open_session())
            return opened[-1]

    opened: list[MemorySession] = []
    with pytest.raises(SinkUnavailable), ShardedSink([Kept(), Away(), Kept()], furthest_behind).session():
        pass
    assert [session.over for session in opened] == [True, True]
