"""A replay topic that took another's place does not know what was replayed through that one."""

from typing import Any
from uuid import UUID

import pytest

from pintally.schemas.actions import Action
from pintally.schemas.rows import ReplacedRow, Replacement, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.operations.replay import horizon, send
from pintally.streams.operations.replay.horizon import read_replay_horizon
from pintally.streams.settings import Settings
from tests.support.memory_sink import MemorySink

SETTINGS = Settings.of(None, max_clock_skew_seconds=5)
NAMES = SETTINGS.topics.replay_names
T = 1_700_000_000_000


def topic(name: str) -> TopicInfo:
    return TopicInfo(name, UUID(int=2), 1, "LogAppendTime", 0, 0, "delete")


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> MemorySink:
    made = MemorySink()
    monkeypatch.setattr(horizon, "ClickHouseSink", lambda *_, **__: made)
    monkeypatch.setattr(horizon, "describe_topics", lambda *_: {name: topic(name) for name in NAMES.values()})
    monkeypatch.setattr(horizon, "read_offsets", lambda _, sources: dict.fromkeys(sources, Offsets(0, 0, 0)))
    return made


def replaces(sink: MemorySink, how: Replacement, stream_time: int) -> Source:
    new, old = (Source(NAMES[Action.SAVE], UUID(int=number), 0) for number in (2, 1))
    with sink.session() as session:
        session.write_starts([StartRow(old, 0, 0, 0, Rules().to_json())])
        session.write_replaced([ReplacedRow(new, old, how, 1, 5, 0, 0, 0, "", "")])
        if how is not Replacement.SAME_OFFSETS:
            session.write_starts([StartRow(new, 1, 0, stream_time, Rules().to_json())])
    return new


def test_letters_from_before_the_move_are_left_by_replays(sink: MemorySink) -> None:
    new = replaces(sink, Replacement.NEW_RECORDS, T)
    found = read_replay_horizon(SETTINGS)
    assert found.until == {Action.SAVE: T}
    assert found.is_before(Action.SAVE, T)
    assert not found.is_before(Action.SAVE, T + 5_001)
    send.refuse_another_topic(new, sink)


def test_a_copy_with_the_same_offsets_knows_what_was_replayed(sink: MemorySink) -> None:
    replaces(sink, Replacement.SAME_OFFSETS, T)
    assert read_replay_horizon(SETTINGS).until == {}


def test_a_replay_topic_that_was_made_again_is_refused(sink: MemorySink) -> None:
    replaces(sink, Replacement.NEW_RECORDS, T)
    another: Any = Source(NAMES[Action.SAVE], UUID(int=3), 0)
    with pytest.raises(send.ReplayRefused, match="deleted and created again"):
        send.refuse_another_topic(another, sink)
