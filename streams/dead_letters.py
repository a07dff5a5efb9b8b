"""Late and dead records to `<topic>.dlq`, acknowledged before the tick that covers them is recorded (rule 11)."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError
from faust.exceptions import ProducerSendError

from schemas.actions import dead_letter_topic
from schemas.dead_letters import to_headers
from schemas.rows import DeadLetterRow

TOO_LARGE = (MessageSizeTooLargeError, RecordTooLargeError)


class DeadLetterTopics:
    """Writes dead letters through a Faust producer; at least once."""

    def __init__(self, producer: Any) -> None:
        self.producer = producer

    async def send(self, letters: Sequence[DeadLetterRow]) -> None:
        """Send all and wait for every acknowledgement. Raises KafkaError; the tick is repeated then.

        A letter that is too large for its topic goes without its value; if that does not help, without its key and
        its original headers too. It must not stop the partition, and the table `dead_letters` keeps all of it.
        """
        refused = await self._send_all(letters)
        refused = await self._send_all([replace(letter, value=None) for letter in refused])
        refused = await self._send_all([replace(letter, key=None, headers=()) for letter in refused])
        if refused:
            raise RecordTooLargeError(f"{refused[0].source} offset {refused[0].offset}: not even our headers fit")

    async def _send_all(self, letters: Sequence[DeadLetterRow]) -> list[DeadLetterRow]:
        """Send all and wait; those that are too large for their topic."""
        answers = await asyncio.gather(*[await self._enqueue(letter) for letter in letters], return_exceptions=True)
        for error in answers:
            if isinstance(error, BaseException) and not isinstance(error, TOO_LARGE):
                raise error
        return [letter for letter, error in zip(letters, answers, strict=True) if isinstance(error, TOO_LARGE)]

    async def _enqueue(self, letter: DeadLetterRow) -> "asyncio.Future[Any]":
        topic, headers = dead_letter_topic(letter.source.topic), to_headers(letter)
        key = b"" if letter.key is None and letter.value is None else letter.key  # aiokafka refuses to send neither
        try:
            answer: asyncio.Future[Any] = await self.producer.send(topic, key, letter.value, None, None, headers)
        except ProducerSendError as error:  # Faust wraps what aiokafka raises at once
            cause = error.__cause__
            if not isinstance(cause, TOO_LARGE):
                raise cause if isinstance(cause, KafkaError) else error from None
            answer = asyncio.get_running_loop().create_future()
            answer.set_exception(cause)
        return answer
