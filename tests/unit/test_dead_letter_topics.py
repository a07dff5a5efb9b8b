"""Dead letters on their topics, through Faust's own producer: what Kafka cannot take whole is sent smaller."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    UnknownTopicOrPartitionError,
)

from schemas.dead_letters import Header, from_record
from schemas.rows import DeadLetterRow
from schemas.sources import Source
from sinks.memory import MemorySink
from streams.app import create_app
from streams.dead_letters import DeadLetterTopics
from streams.settings import Settings

SOURCE = Source("engagement.save.v1", UUID(int=7), 3)


def letter(
    offset: int = 5, key: bytes | None = b"k", value: bytes | None = b"v", header: bytes = b"h"
) -> DeadLetterRow:
    return DeadLetterRow(SOURCE, offset, 1_700_000_000_000, "dead", "not JSON", key, value, (("trace", header),))


class Broker:
    """What aiokafka's producer does with records larger than `limit` bytes, in the client or by the broker's answer."""

    def __init__(self, limit: int = 10_000, client_limit: int = 10**9) -> None:
        self.limit, self.client_limit = limit, client_limit
        self.records: list[tuple[str, DeadLetterRow]] = []
        self.refuses: Callable[[int], BaseException | None] = lambda _number: None  # of the nth letter
        self.answers: Callable[[int], BaseException | None] = lambda _number: None
        self.sent = 0

    async def send(
        self, topic: str, value: bytes | None, *, key: bytes | None, headers: Sequence[Header], **_: Any
    ) -> "asyncio.Future[None]":
        assert not (key is None and value is None), "aiokafka's own words: Need at least one: key or value"
        self.sent += 1
        size = len(key or b"") + len(value or b"") + sum(len(name) + len(text or b"") for name, text in headers)
        if size > self.client_limit:
            raise MessageSizeTooLargeError
        if error := self.refuses(self.sent):
            raise error
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if error := RecordTooLargeError() if size > self.limit else self.answers(self.sent):
            answer.set_exception(error)
        else:
            self.records.append((topic, from_record(key, value, headers)))
            answer.set_result(None)
        return answer


def send(broker: Broker, *letters: DeadLetterRow) -> None:
    async def run() -> None:
        producer: Any = create_app(Settings(_env_file=None), MemorySink()).producer
        producer._producer = broker
        await DeadLetterTopics(producer).send(letters)

    asyncio.run(run())


def test_a_letter_is_on_the_topic_of_its_source_as_it_was() -> None:
    broker = Broker()
    tombstone = letter(6, value=None)
    send(broker, letter(), tombstone)
    assert broker.records == [("engagement.save.v1.dlq", letter()), ("engagement.save.v1.dlq", tombstone)]


@pytest.mark.parametrize("limits", [(10_000, 10**9), (10**9, 10_000)], ids=["by_the_broker", "by_the_client"])
def test_a_letter_that_is_too_large_is_sent_without_its_value(limits: tuple[int, int]) -> None:
    broker = Broker(*limits)
    send(broker, letter(4), letter(5, value=b"v" * 10_000), letter(6))
    found = {kept.offset: kept for _, kept in broker.records}
    assert (found[4], found[6]) == (letter(4), letter(6))
    assert found[5] == letter(5, value=None)


@pytest.mark.parametrize("limits", [(10_000, 10**9), (10**9, 10_000)], ids=["by_the_broker", "by_the_client"])
@pytest.mark.parametrize("large", [{"key": b"k" * 10_000}, {"header": b"h" * 10_000}], ids=["key", "header"])
def test_a_letter_whose_key_or_headers_are_too_large_is_sent_with_our_headers_alone(
    large: dict[str, bytes], limits: tuple[int, int]
) -> None:
    """A record that fits its topic may not fit the other with our headers added; it must not hold its source up."""
    broker = Broker(*limits)
    send(broker, letter(**large))  # type: ignore[arg-type]
    (kept,) = [kept for _, kept in broker.records]
    assert (kept.offset, kept.reason, kept.key, kept.value, kept.headers) == (5, "not JSON", b"", None, ())


def test_a_letter_with_neither_key_nor_value_is_sent_with_an_empty_key() -> None:
    """Kafka takes such records, and aiokafka sends none: a worker must not end of one."""
    broker = Broker()
    send(broker, letter(4, None, None), letter(5, None, b"v" * 10_000))
    assert [(kept.offset, kept.key, kept.value) for _, kept in broker.records] == [(4, b"", None), (5, b"", None)]


@pytest.mark.parametrize("error", [KafkaConnectionError, UnknownTopicOrPartitionError])
@pytest.mark.parametrize("refused_at_once", [True, False])
def test_any_other_error_is_raised_as_kafkas_own_so_that_the_tick_is_repeated(
    error: type[KafkaError], refused_at_once: bool
) -> None:
    """Faust wraps what its producer raises at once; a tick knows Kafka's errors only."""
    broker = Broker()
    if refused_at_once:
        broker.refuses = lambda number: error() if number == 2 else None
    else:
        broker.answers = lambda number: error() if number == 2 else None
    with pytest.raises(error):
        send(broker, letter(4), letter(5), letter(6))


def test_an_error_that_is_not_kafkas_is_not_hidden() -> None:
    broker = Broker()
    broker.refuses = lambda _number: ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        send(broker, letter())


def test_a_letter_that_fits_in_no_form_is_an_error_and_not_silence() -> None:
    with pytest.raises((MessageSizeTooLargeError, RecordTooLargeError)):
        send(Broker(limit=100), letter())
