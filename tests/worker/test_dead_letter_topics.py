"""Dead letters on their topics, by the producer that Faust starts: what Kafka cannot take whole is sent smaller."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.sources import Source
from pintally.streams.kafka.letters_refused import LettersRefused
from pintally.streams.settings import Settings
from pintally.streams.worker import dead_letter_topics as dead_letters
from pintally.streams.worker.app import create_app
from tests.support.letter_batches import LetterBatch
from tests.support.memory_sink import MemorySink

SOURCE = Source("engagement.save.v1", UUID(int=7), 3)


def letter(
    offset: int = 5, key: bytes | None = b"k", value: bytes | None = b"v", header: bytes = b"h"
) -> DeadLetterRow:
    return DeadLetterRow(SOURCE, offset, 1_700_000_000_000, "invalid", "not JSON", key, value, (("trace", header),))


class Broker:
    """What aiokafka's producer does with batches larger than `limit` bytes, in the client or by the broker's answer."""

    def __init__(self, limit: int = 10_000, full: int = 20_000) -> None:
        self.limit, self.full = limit, full
        self.records: list[tuple[str, int, DeadLetterRow]] = []
        self.refuses: Callable[[int], BaseException | None] = lambda _number: None  # of the nth batch
        self.answers: Callable[[int], BaseException | None] = lambda _number: None
        self.sent = 0

    def create_batch(self) -> LetterBatch:
        return LetterBatch(self.full)

    async def partitions_for(self, _topic: str) -> set[int]:
        return {0, 1}

    async def send_batch(self, batch: LetterBatch, topic: str, *, partition: int) -> "asyncio.Future[None]":
        self.sent += 1
        if error := self.refuses(self.sent):
            raise error
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if error := MessageSizeTooLargeError() if batch.size() > self.limit else self.answers(self.sent):
            answer.set_exception(error)
        else:
            self.records += [(topic, partition, letter) for letter in batch.letters]
            answer.set_result(None)
        return answer

    @property
    def letters(self) -> dict[int, DeadLetterRow]:
        """What is on the topics, by offset."""
        return {letter.offset: letter for _, _, letter in self.records}


def send(broker: Broker, *letters: DeadLetterRow) -> dict[Source, LettersRefused]:
    """Returns the sources that wait for an acknowledgement."""

    async def run() -> dict[Source, LettersRefused]:
        app = create_app(Settings.of(None), MemorySink())
        producer: Any = app.producer
        producer._producer = broker
        return await app.flusher.dead_letters.send(letters)

    return asyncio.run(run())


def test_a_letter_is_on_the_topic_of_its_source_as_it_was() -> None:
    broker = Broker()
    tombstone, other = letter(6, value=None), replace(letter(), source=Source("engagement.click.v1", UUID(int=8), 0))
    send(broker, letter(), tombstone, other)
    assert broker.records == [
        ("engagement.save.v1.dlq", 1, letter()),
        ("engagement.save.v1.dlq", 1, tombstone),
        ("engagement.click.v1.dlq", 0, other),
    ]
    assert broker.sent == 2


def test_letters_of_a_source_stay_in_order_over_as_many_batches_as_they_take() -> None:
    broker = Broker(full=1_000)
    letters = [letter(offset) for offset in range(20)]
    send(broker, *letters)
    assert [found for _, _, found in broker.records] == letters
    assert 5 < broker.sent < 20


def test_a_letter_that_the_broker_takes_too_large_is_sent_without_its_value_and_no_other_is() -> None:
    """A batch is refused as a whole."""
    broker = Broker()
    letters = [letter(offset, value=b"v" * 10_000) if offset == 7 else letter(offset) for offset in range(12)]
    send(broker, *letters)
    assert broker.letters == {each.offset: replace(each, value=None) if each.offset == 7 else each for each in letters}


def test_letters_go_whole_where_each_fits_its_topic_and_a_batch_does_not() -> None:
    broker = Broker(limit=600)
    letters = [letter(offset) for offset in range(20)]
    send(broker, *letters)
    assert [found for _, _, found in broker.records] == letters


def test_a_letter_larger_than_kafka_takes_of_a_request_is_not_even_tried_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker closes the connection of such a request, and the flush would be repeated for ever."""
    monkeypatch.setattr(dead_letters, "MAX_REQUEST_BYTES", 5_000)
    broker = Broker(limit=10**9)
    large = letter(5, value=b"v" * 6_000)
    send(broker, letter(4), large)
    assert broker.letters == {4: letter(4), 5: replace(large, value=None)}


@pytest.mark.parametrize("large", [letter(key=b"k" * 10_000), letter(header=b"h" * 10_000)], ids=["key", "header"])
def test_a_letter_whose_key_or_headers_are_too_large_is_sent_with_our_headers_alone(large: DeadLetterRow) -> None:
    """A record that fits its topic may not fit the other with our headers added; it must not hold its source up."""
    broker = Broker()
    send(broker, large)
    (kept,) = broker.letters.values()
    assert (kept.offset, kept.reason, kept.key, kept.value, kept.headers) == (5, "not JSON", b"", None, ())


def test_a_letter_with_neither_key_nor_value_is_sent_with_an_empty_key() -> None:
    """Kafka takes such records, and aiokafka sends none: a worker must not end of one."""
    broker = Broker()
    send(broker, letter(4, None, None), letter(5, None, b"v" * 10_000))
    assert [(kept.offset, kept.key, kept.value) for kept in broker.letters.values()] == [(4, b"", None), (5, b"", None)]


@pytest.mark.parametrize("error", [KafkaConnectionError, UnknownTopicOrPartitionError])
@pytest.mark.parametrize("refused_at_once", [True, False])
def test_any_other_error_has_its_source_and_no_other_wait_for_the_next_flush(
    error: type[KafkaError], refused_at_once: bool
) -> None:
    broker = Broker(full=1)
    if refused_at_once:
        broker.refuses = lambda number: error() if number == 2 else None
    else:
        broker.answers = lambda number: error() if number == 2 else None
    other = replace(letter(), source=replace(SOURCE, partition=0))
    waiting = send(broker, letter(4), letter(5), letter(6), other, other, other)
    assert len(waiting) == 1
    (refused,) = waiting.values()
    assert isinstance(refused.__cause__, error)
    others = [each for _, _, each in broker.records if each.source not in waiting]
    assert len(others) == 3


def test_an_error_that_repeating_does_not_mend_is_raised() -> None:
    broker = Broker()
    broker.answers = lambda number: TopicAuthorizationFailedError() if number == 2 else KafkaConnectionError()
    with pytest.raises(LettersRefused) as refused:
        send(broker, letter(), replace(letter(), source=replace(SOURCE, partition=0)))
    assert isinstance(refused.value.__cause__, TopicAuthorizationFailedError)


def test_an_error_that_is_not_kafkas_is_not_hidden() -> None:
    broker = Broker()
    broker.refuses = lambda _number: ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        send(broker, letter())


def test_a_letter_that_fits_in_no_form_is_an_error_and_not_silence() -> None:
    waiting = send(Broker(limit=100), letter())
    assert isinstance(waiting[SOURCE].__cause__, RecordTooLargeError)
