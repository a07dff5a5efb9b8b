"""When a worker says that an open transaction holds a partition back."""

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from pintally.schemas.errors import Refusal, SinkUnavailable
from pintally.schemas.rows import ReplacedRow, Replacement
from pintally.schemas.sources import Source
from pintally.streams.counting.log import TopicInfo
from pintally.streams.kafka.rights import RightMissing
from pintally.streams.worker import kafka_watch
from pintally.streams.worker.kafka_watch import AGAIN_SECONDS, NOTICE_SECONDS, HeldBack
from pintally.streams.worker.outage import Outage

AT = ("t", 0)


def test_what_is_held_back_for_a_minute_is_told_once_and_again_after_a_while() -> None:
    held = HeldBack()
    told = [(now, held.look(now, {AT: (5, 9)})) for now in range(0, int(NOTICE_SECONDS + AGAIN_SECONDS) + 20, 10)]
    assert [now for now, said in told if said] == [NOTICE_SECONDS, NOTICE_SECONDS + AGAIN_SECONDS]
    assert told[6][1] == [("t", 0, 5, 60.0)]


def test_transactions_that_end_are_no_matter_however_many_there_are() -> None:
    held = HeldBack()
    assert [held.look(now, {AT: (now, now + 4)}) for now in range(0, 1000, 10)] == [[]] * 100


def test_a_log_that_may_be_read_to_its_end_is_forgotten() -> None:
    held = HeldBack()
    held.look(0, {AT: (5, 9)})
    held.look(30, {AT: (9, 9)})
    assert held.look(70, {AT: (9, 12)}) == []
    assert held.look(140, {AT: (9, 12)}) == [("t", 0, 9, 70)]


def test_partitions_that_were_taken_away_are_forgotten() -> None:
    held = HeldBack()
    held.look(0, {AT: (5, 9)})
    held.look(50, {})
    assert held.look(70, {AT: (5, 9)}) == []


def test_kafka_is_away_if_the_coordinator_is_silent_for_longer_than_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a worker joins its group no heartbeat fails."""
    kafka = Outage("Kafka")
    monkeypatch.setattr(kafka_watch, "KAFKA", kafka)
    for silence in (None, 0.1, 6.0):
        kafka_watch.notice_silence(silence, 6.0)
        assert not kafka.seconds
    kafka_watch.notice_silence(6.1, 6.0)
    assert kafka.seconds


COUNTED, OTHER = UUID(int=1), UUID(int=2)
SOURCE = Source("saves", COUNTED, 0)
COPY = ReplacedRow(Source("saves", OTHER, 0), SOURCE, Replacement.SAME_OFFSETS, 1, 0, 0, 0, 0, "", "")


def compared(monkeypatch: pytest.MonkeyPatch, topic_id: UUID, replaced: Any) -> None:
    """A worker that counts SOURCE compares it with the topic of this UUID."""
    topic = TopicInfo("saves", topic_id, 1, "LogAppendTime", 0, 0, "delete")
    monkeypatch.setattr(kafka_watch, "topic_ids", lambda *_: {"saves": topic_id})
    monkeypatch.setattr(kafka_watch, "describe_topics", lambda *_: {"saves": topic})
    kafka: Any = None
    sink: Any = SimpleNamespace(replaced=replaced)
    asyncio.run(kafka_watch.refuse_others(kafka, kafka, sink, [SOURCE]))


def away() -> list[ReplacedRow]:
    raise SinkUnavailable("ClickHouse is away", "")


def denied() -> list[ReplacedRow]:
    raise RightMissing("ClickHouse lets us not", "")


def test_a_topic_that_was_made_again_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match="it was deleted and created again"):
        compared(monkeypatch, OTHER, list)


def test_the_topic_that_is_counted_is_not_asked_for_in_clickhouse(monkeypatch: pytest.MonkeyPatch) -> None:
    compared(monkeypatch, COUNTED, lambda: pytest.fail("asked"))


def test_a_copy_that_took_its_place_is_the_same_and_who_does_not_know_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared(monkeypatch, OTHER, lambda: [COPY])
    compared(monkeypatch, OTHER, away)
    compared(monkeypatch, OTHER, denied)
