"""Sends dead letters to the replay topics, each at most once, even if several replays run.

Each replay topic has one transactional id for its producers. A new replay fences all others off, and Kafka aborts their
open transactions. From then on the topic holds all replays, and nobody else can add one. So dead letters that are not
in the topic may be sent.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced, RecordTooLargeError

from pintally.schemas.dead_letters import readable
from pintally.schemas.errors import KafkaUnavailable, PintallyError
from pintally.schemas.replays import Origin, to_headers, transactional_id
from pintally.schemas.rows import DeadLetterRow
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink
from pintally.streams.counting.recovery import follow
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.kafka.rights import TOPIC, TRANSACTIONAL_ID, UNAUTHORIZED, forbidden
from pintally.streams.kafka.topics import describe_topics, read_offsets
from pintally.streams.operations.replay.correct import changed
from pintally.streams.operations.replay.horizon import ReplaysUnknown, read_replay_horizon
from pintally.streams.operations.replay.origins import read_origins
from pintally.streams.settings import KafkaSettings, Settings

TRANSACTION_RECORDS = 500
TRANSACTION_BYTES = 8 << 20
TRANSACTION_SECONDS = 60
START_SECONDS = 60.0
MAX_REQUEST_BYTES = 16 << 20


class ReplayOvertaken(PintallyError):
    """Another replay to the same topic fenced this one off."""


class ReplayRefused(PintallyError):
    """The replay topic does not accept a dead letter, or is not the topic that was counted."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A dead letter, and the value to send."""

    letter: DeadLetterRow
    value: bytes | None

    @property
    def origin(self) -> Origin:
        """Where the letter's record is."""
        return Origin(self.letter.source, self.letter.offset)


@dataclass(slots=True)
class Sent:
    """The result of a replay: numbers of dead letters."""

    sent: int = 0
    replayed: int = 0  # already in the replay topic
    gone: int = 0  # not dead letters any more


Existing = Callable[[Sequence[Origin]], set[Origin]]


def replay_letters(settings: Settings, sink: Sink, replays: Sequence[Replay], by: str, existing: Existing) -> Sent:
    """Send dead letters to the replay topics of their actions, and wait until all are committed. Blocking.

    1. Fence off every other replay to the topic; Kafka aborts its open transaction.
    2. Read the whole topic, to know what was replayed. Records that it has deleted must be older than the dead letters.
    3. Ask `existing` which of the others are still dead letters.
    4. Send these, some hundred in a transaction. If the replay is interrupted, the next one sends the rest.

    Raises ReplayOvertaken, ReplayRefused, ReplaysUnknown, KafkaUnavailable.
    """
    topics, sent = as_known(describe_topics(settings.kafka, settings.topics), sink.replaced()), Sent()
    for action, name in settings.topics.replay_names.items():
        mine = [replay for replay in replays if settings.topics.actions[replay.letter.source.topic] is action]
        if mine:
            target = Source(name, topics[name].topic_id, 0)
            refuse_another_topic(target, sink)
            refuse_other_prefix(settings, target, sink)
            asyncio.run(_replay(settings, target, mine, by, existing, sent))
    return sent


def refuse_another_topic(target: Source, sink: Sink) -> None:
    """Refuse a replay topic that was created again: the replays of the first one are counted, but unknown."""
    taken = {row.old for row in sink.replaced()}  # `horizon` treats their replays as unknown
    known = {source.topic_id for source in sink.known_sources() if source.topic == target.topic and source not in taken}
    others = known - {target.topic_id}
    if others:
        raise ReplayRefused(
            f"topic {target.topic} has UUID {target.topic_id}, but {min(map(str, others))} in the ledger: it was "
            "deleted and created again, and replays of the first one would be counted twice",
            "Restore the first topic; or run `pintally replace-topic`: older dead letters are then left out.",
        )


def refuse_other_prefix(settings: Settings, target: Source, sink: Sink) -> None:
    """Refuse a replay topic that is framed, or not, against the settings: what is sent would be invalid there."""
    with sink.session() as session:
        ledger = session.read_ledgers([target])[target]
    asked = settings.rules.in_topic(target.topic).prefix_bytes
    if ledger.starts and (counted := follow(ledger).rules.prefix_bytes) != asked:
        raise ReplayRefused(
            f"{target} is counted by rules with prefix_bytes={counted}, the settings ask for {asked}: what is sent "
            "would be a dead letter again",
            "Set PINTALLY_FRAMED_TOPICS as `pintally rules show` says, or stop all workers and run `pintally rules "
            "apply`.",
        )


async def _replay(
    settings: Settings, target: Source, replays: Sequence[Replay], by: str, existing: Existing, sent: Sent
) -> None:
    producer = AIOKafkaProducer(
        **kafka_options(settings.kafka),
        transactional_id=transactional_id(target.topic),
        transaction_timeout_ms=TRANSACTION_SECONDS * 1000,
        max_request_size=MAX_REQUEST_BYTES,
        request_timeout_ms=10_000,
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            await producer.start()
        known = await _known(settings.kafka, target)
        new = [replay for replay in replays if replay.origin not in known]
        await asyncio.to_thread(_refuse_before_horizon, settings, target, new)
        letters = await asyncio.to_thread(existing, [replay.origin for replay in new])
        left = [replay for replay in new if replay.origin in letters]
        sent.replayed += len(replays) - len(new)
        sent.gone += len(new) - len(left)
        for some in _transactions(left):
            async with producer.transaction():
                await _send(producer, target, some, by)
            sent.sent += len(some)
    except ProducerFenced as error:
        raise ReplayOvertaken(
            f"another replay to {target.topic} began, and stopped this one after {sent.sent} dead letters",
            "Run it again when the other one has ended: it sends only what is missing.",
        ) from error
    except UNAUTHORIZED as error:
        needed = {TOPIC: ("Write", (target.topic,)), TRANSACTIONAL_ID: ("Write", (transactional_id(target.topic),))}
        raise forbidden(settings.kafka, error, needed) from error
    except (KafkaError, TimeoutError) as error:
        raise KafkaUnavailable(
            f"Kafka at {settings.kafka} did not accept a replay to {target.topic} after {sent.sent} dead letters: "
            f"{error!r}",
            "Run it again when Kafka answers: it sends only what is missing.",
        ) from error
    finally:
        await producer.stop()


async def _known(kafka: KafkaSettings, target: Source) -> dict[Origin, int]:
    """Returns the replays in the topic; nobody else can add one now."""
    offsets = (await asyncio.to_thread(read_offsets, kafka, [target]))[target]
    if offsets.last_stable < offsets.log_end:
        raise ReplaysUnknown(
            f"{target} has an open transaction from offset {offsets.last_stable} on, which is not of a replay",
            f"Find out who else writes to {target.topic}, and revoke that right.",
        )
    return await read_origins(kafka, target, offsets.log_start, offsets.log_end)


def _refuse_before_horizon(settings: Settings, target: Source, replays: Sequence[Replay]) -> None:
    """Refuse dead letters before the horizon. The plan leaves them out, unless the horizon has just moved."""
    horizon = read_replay_horizon(settings)
    for replay in replays:
        if horizon.is_before(settings.topics.actions[target.topic], replay.letter.timestamp):
            raise ReplaysUnknown(
                f"{target} has just deleted records: it is unknown whether {replay.origin} was replayed",
                "Run it again: it leaves out what is too old.",
            )


def _transactions(replays: Sequence[Replay]) -> Iterator[list[Replay]]:
    some: list[Replay] = []
    size = 0
    for replay in replays:
        own = len(replay.value or b"") + len(replay.letter.key or b"")
        if some and (len(some) == TRANSACTION_RECORDS or size + own > TRANSACTION_BYTES):
            yield some
            some, size = [], 0
        some.append(replay)
        size += own
    if some:
        yield some


async def _send(producer: AIOKafkaProducer, target: Source, replays: Sequence[Replay], by: str) -> None:
    acknowledged = []
    for replay in replays:
        letter = replay.letter
        ours = to_headers(replay.origin, letter.outcome, changed(letter.value, replay.value), by)
        headers = [*((readable(name), content) for name, content in letter.headers), *ours]
        key = b"" if letter.key is None and replay.value is None else letter.key  # aiokafka refuses to send neither
        try:
            answer = await producer.send(target.topic, replay.value, key, target.partition, headers=headers)
        except MessageSizeTooLargeError as error:
            raise _too_large(target, replay) from error
        acknowledged.append(answer)
    answers = await asyncio.gather(*acknowledged, return_exceptions=True)
    for replay, refused in zip(replays, answers, strict=True):
        if isinstance(refused, RecordTooLargeError | MessageSizeTooLargeError):
            raise _too_large(target, replay) from refused
        if isinstance(refused, BaseException):
            raise refused


def _too_large(target: Source, replay: Replay) -> ReplayRefused:
    return ReplayRefused(
        f"{replay.origin} is too large for {target.topic}: {len(replay.value or b'')} bytes and its headers",
        "Raise max.message.bytes of the topic, or leave this dead letter out.",
    )
