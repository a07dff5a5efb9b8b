"""Late and dead records to `<topic>.dlq`, acknowledged before the tick that covers them is recorded (rule 11)."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka.errors import MessageSizeTooLargeError, RecordTooLargeError

from schemas.actions import dead_letter_topic
from schemas.dead_letters import to_headers
from schemas.rows import DeadLetterRow

TOO_LARGE = (MessageSizeTooLargeError, RecordTooLargeError)


class DeadLetterTopics:
    """Writes dead letters through a Faust producer; at least once."""

    def __init__(self, producer: Any) -> None:
        self.producer = producer

    async def send(self, letters: Sequence[DeadLetterRow]) -> None:
        """Send all and wait for every acknowledgement. Raises KafkaError; the tick is repeated then."""
        sent = [await self._send(letter, letter.value) for letter in letters]
        results = await asyncio.gather(*sent, return_exceptions=True)
        for letter, result in zip(letters, results, strict=True):
            if isinstance(result, TOO_LARGE):  # must not stop the partition; `dead_letters` keeps the bytes
                await (await self._send(letter, None))
            elif isinstance(result, BaseException):
                raise result

    async def _send(self, letter: DeadLetterRow, value: bytes | None) -> "asyncio.Future[Any]":
        topic = dead_letter_topic(letter.source.topic)
        try:
            return await self._to_topic(topic, letter, value)
        except TOO_LARGE:  # refused by the client before it was sent
            return await self._to_topic(topic, letter, None)

    async def _to_topic(self, topic: str, letter: DeadLetterRow, value: bytes | None) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = await self.producer.send(topic, letter.key, value, None, None, to_headers(letter))
        return future
