"""Late and invalid records to `<topic>.dlq`, acknowledged before the flush that covers them (C11).

Sent in batches made here. One by one through Faust, a letter cost 60 us in futures, callbacks and the choice of its
partition: where 0.2% of the events are late, 0.12 us an event; this way it is 0.03.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import starmap
from typing import Any

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError

from pintally.schemas.actions import dead_letter_topic
from pintally.schemas.dead_letters import to_headers
from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.sources import Source
from pintally.streams.kafka.letters_refused import TOO_LARGE, LettersRefused

BATCH_BYTES = 256 * 1024  # below the megabyte that Kafka takes unless told otherwise
MAX_REQUEST_BYTES = 16 * 1024 * 1024  # a dead letter is larger than its record by its headers


class DeadLetterTopics:
    """Writes dead letters by aiokafka's producer; at least once.

    A letter goes to the partition that has its record's number, where there is one: those of a source stay in order.
    """

    def __init__(self, producer: Callable[[], Any], kafka: str = "BROKER") -> None:
        """`producer` gives the one that is running; `kafka` are the bootstrap servers, for words of an error."""
        self.producer, self.kafka = producer, kafka

    async def send(self, letters: Sequence[DeadLetterRow]) -> dict[Source, LettersRefused]:
        """Send all and wait for every answer. Returns the sources some of whose letters are not acknowledged, and why:
        a flush is repeated for them alone. Raises LettersRefused where repeating does not help.
        """
        of_sources: dict[Source, list[DeadLetterRow]] = {}
        for letter in letters:
            of_sources.setdefault(letter.source, []).append(letter)
        answers = await asyncio.gather(*starmap(self._send_all, of_sources.items()), return_exceptions=True)
        waiting: dict[Source, LettersRefused] = {}
        for source, answer in zip(of_sources, answers, strict=True):
            if isinstance(answer, LettersRefused) and answer.is_mended_by_repeating:
                waiting[source] = answer
            elif isinstance(answer, BaseException):
                raise answer
        return waiting

    async def _send_all(self, source: Source, letters: Sequence[DeadLetterRow]) -> None:
        """All letters of one source.

        A letter that is too large for its topic goes without its value; if that does not help, without its key and
        its original headers too. It must not stop the partition, and the table `dead_letters` keeps all of it.
        """
        refused = await self._send_source(source, letters)
        refused = await self._send_source(source, [replace(letter, value=None) for letter in refused])
        refused = await self._send_source(source, [replace(letter, key=None, headers=()) for letter in refused])
        if refused:
            raise LettersRefused(dead_letter_topic(source.topic), source.partition, RecordTooLargeError())

    async def _send_source(self, source: Source, letters: Sequence[DeadLetterRow]) -> list[DeadLetterRow]:
        """The letters of one source, batch by batch. Returns those that are too large for their topic."""
        producer, sent = self.producer(), 0
        refused: list[DeadLetterRow] = []
        while sent < len(letters):
            batch, first = producer.create_batch(), sent
            while sent < len(letters) and _append(batch, letters[sent]):
                sent += 1
            refused += await self._send_batch(batch, source, letters[first:sent])
        return refused

    async def _send_batch(self, batch: Any, source: Source, letters: Sequence[DeadLetterRow]) -> list[DeadLetterRow]:
        """One batch, which is halved where it is too large, until it is known which letters are."""
        try:
            if batch.size() > MAX_REQUEST_BYTES:
                raise MessageSizeTooLargeError
            await (await self._enqueue(batch, source))
        except TOO_LARGE:
            if len(letters) == 1:
                return list(letters)
            half = len(letters) // 2
            return [
                *await self._send_source(source, letters[:half]),
                *await self._send_source(source, letters[half:]),
            ]
        except KafkaError as error:
            raise LettersRefused(dead_letter_topic(source.topic), source.partition, error) from error
        return []

    async def _enqueue(self, batch: Any, source: Source) -> "asyncio.Future[Any]":
        producer, topic = self.producer(), dead_letter_topic(source.topic)
        partitions = await producer.partitions_for(topic)
        answer: asyncio.Future[Any] = await producer.send_batch(
            batch, topic, partition=source.partition % len(partitions)
        )
        return answer


def _append(batch: Any, letter: DeadLetterRow) -> bool:
    """False if the batch is full; the first always fits."""
    key = b"" if letter.key is None and letter.value is None else letter.key  # aiokafka takes no record with neither
    appended = batch.append(timestamp=None, key=key, value=letter.value, headers=to_headers(letter))
    return appended is not None
