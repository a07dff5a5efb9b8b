"""A batch that is corrupt at each of some fetches is the log's, and a person's; corrupt once it is fetched again."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import TopicPartition

from pintally.streams.kafka.fetching import consumer as module
from pintally.streams.kafka.fetching.consumer import FETCHES, ChunkedConsumer, LogCorrupt

TP = TopicPartition("saves", 0)


def fetch(consumer: ChunkedConsumer, offset: int) -> dict[TopicPartition, Any]:
    """What a consumer gives of one fetch, from this offset on."""
    records = SimpleNamespace(next_fetch_offset=offset)
    result = SimpleNamespace(check_assignment=lambda _: True, _partition_records=records, _update_position=lambda: None)
    consumer._subscription = SimpleNamespace(fetch_context=nullcontext)
    consumer._fetcher = SimpleNamespace(
        _closed=False,
        _subscriptions=SimpleNamespace(reassignment_in_progress=False),
        _records={TP: result},
        _notify=lambda _: None,
        _wait_consume_future=None,
        _create_fetch_waiter=answered,
    )
    return asyncio.run(consumer.chunks({TP}, 0.0))


def answered() -> "asyncio.Future[None]":
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChunkedConsumer]:
    def unpack(*_: Any) -> None:
        raise CorruptRecordException("wrong CRC")

    monkeypatch.setattr(module, "unpack", unpack)

    async def made() -> ChunkedConsumer:
        return ChunkedConsumer()

    consumer = asyncio.run(made())
    yield consumer
    consumer._closed = True  # it was never started


def test_what_is_corrupt_at_every_fetch_is_for_a_person(consumer: ChunkedConsumer) -> None:
    """It was fetched again for ever, as fast as Kafka gave it, with a line each."""
    for _ in range(FETCHES - 1):
        assert fetch(consumer, 7) == {}
    with pytest.raises(LogCorrupt, match=r"saves\[0\] cannot be read from offset 7 on") as error:
        fetch(consumer, 7)
    assert "accept-loss" in error.value.remedy


def test_other_places_are_counted_by_themselves(consumer: ChunkedConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    for offset in range(3 * FETCHES):
        fetch(consumer, offset)
    for _ in range(FETCHES - 2):
        fetch(consumer, 99)
    monkeypatch.setattr(module, "unpack", lambda *_: "chunk")
    assert fetch(consumer, 99) == {TP: "chunk"}
    assert consumer._corrupt == {}
