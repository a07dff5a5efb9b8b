"""Finds out and logs why Kafka gives nothing to count: its clients try again in silence whatever the reason is.

And whether what it gives is what is counted: clients read topics by their names.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from pintally.schemas.errors import KafkaUnavailable, PintallyError, Refusal
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink
from pintally.streams.counting.refusals import refuse_recreated
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.kafka.topics import describe_topics, topic_ids
from pintally.streams.settings import KafkaSettings, TopicSettings
from pintally.streams.worker.outage import KAFKA

NOTICE_SECONDS = 60.0
AGAIN_SECONDS = 600.0

Ends = tuple[int, int]  # last stable offset, end of the log


@dataclass(slots=True)
class _Held:
    offset: int
    since: float
    said: float | None = None


@dataclass(slots=True)
class HeldBack:
    """Partitions that an open transaction holds back: else their lag grows and nothing tells why. Pure.

    Remembers since when each is held back at one offset; times are monotonic seconds.
    """

    held: dict[tuple[str, int], _Held] = field(default_factory=dict)

    def look(self, now: float, ends: Mapping[tuple[str, int], Ends]) -> list[tuple[str, int, int, float]]:
        """Topic, partition, offset and seconds of what is held back for a minute, once, and again each ten minutes."""
        self.held = {
            at: known if (known := self.held.get(at)) and known.offset == stable else _Held(stable, now)
            for at, (stable, end) in ends.items()
            if stable < end
        }
        told = []
        for (topic, partition), held in self.held.items():
            last = held.since + NOTICE_SECONDS if held.said is None else held.said + AGAIN_SECONDS
            if now >= last:
                held.said = now
                told.append((topic, partition, held.offset, now - held.since))
        return told


def notice_silence(seconds: float | None, session_seconds: float) -> None:
    """Kafka is away if the coordinator has not answered for a session: while a worker joins, nobody else sees it.

    `seconds` is None before the first answer.
    """
    if seconds is not None and seconds > session_seconds:
        KAFKA.away("the coordinator of the group does not answer", "this worker's place in its group")


async def ask_why(kafka: KafkaSettings, topics: TopicSettings, unknown: Collection[str]) -> None:
    """Ask once where Kafka seems to be away, or does not know some topics any more; else do nothing.

    Raises KafkaRefused for a login or a right that is not given any more, TopicMissing for topics that were deleted.
    """
    KAFKA.still()
    if KAFKA.seconds or unknown:
        try:
            await asyncio.to_thread(describe_topics, kafka, topics)
        except KafkaUnavailable as error:
            KAFKA.away(error.what, "counting")


async def refuse_others(kafka: KafkaSettings, topics: TopicSettings, sink: Sink, counted: Collection[Source]) -> None:
    """Raise Refusal if a topic is not the one any more whose records are counted.

    Of a topic that is deleted and made again at once, fetches go on by its name. Where the new log is as long as what
    was read of the old one, as of a topic without records, nothing else shows it: its records would count as the old
    one's.
    """
    try:
        await asyncio.to_thread(_compare, kafka, topics, sink, counted)
    except Refusal:
        raise
    except PintallyError:
        return  # whoever needs an answer finds out why there is none, and says so


def _compare(kafka: KafkaSettings, topics: TopicSettings, sink: Sink, counted: Collection[Source]) -> None:
    ids = topic_ids(kafka, topics)
    if all(ids.get(source.topic, source.topic_id) == source.topic_id for source in counted):
        return
    known = as_known(describe_topics(kafka, topics), sink.replaced())
    for source in counted:
        refuse_recreated(replace(source, topic_id=known[source.topic].topic_id), [source])
