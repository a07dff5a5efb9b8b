"""What has been replayed: the replay topics themselves say it, and nothing else does."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.replays import Origin, origin_of
from schemas.rows import StartRow
from schemas.sources import Source
from streams.admin import KafkaUnavailable
from streams.kafka_clients import options_alone
from streams.refusals import Refusal
from streams.replay.forgotten import ReplaysUnknown
from streams.settings import Settings
from streams.topics import describe_topics, read_offsets, sources_of

POLL_MS = 500
SILENCE_SECONDS = 30.0  # without a record or an offset gained
Replayed = Mapping[Source, Mapping[int, int]]  # source of the letter -> its offset -> offset on the replay topic


def replayed_origins(settings: Settings) -> Replayed:
    """Every record that was replayed, of all topics, and where it is on its replay topic. Blocking.

    What was forgotten with age is not among them, see `forgotten`. Raises TopicMissing and KafkaUnavailable.
    """
    topics = describe_topics(settings)
    replays = sources_of({name: topics[name] for name in settings.replay_topics.values()})
    found: dict[Source, dict[int, int]] = defaultdict(dict)
    for replay, offsets in read_offsets(settings, replays).items():
        for origin, at in asyncio.run(read_origins(settings, replay, offsets.log_start, offsets.last_stable)).items():
            found[origin.source][origin.offset] = at
    return dict(found)


def refuse_replayed(boundaries: Iterable[StartRow], replayed: Replayed) -> None:
    """Refuse boundaries that a replayed letter lies at or above: by other rules its record could count there too."""
    for row in boundaries:
        if beyond := [offset for offset in replayed.get(row.source, ()) if offset >= row.start]:
            raise Refusal(
                f"{Origin(row.source, max(beyond))} was replayed, and from offset {row.start} on its source would be "
                "counted by other rules: its record might count a second time",
                "Let workers count on until that slice has ended: ten minutes, and a record more. Then try again.",
            )


async def read_origins(settings: Settings, replay: Source, start: int, end: int) -> dict[Origin, int]:
    """The origins of all committed records of the offsets [start, end) of a partition, and their offsets there.

    Raises KafkaUnavailable if Kafka falls silent.
    """
    partition = TopicPartition(replay.topic, replay.partition)
    found: dict[Origin, int] = {}
    if start >= end:  # and an aiokafka consumer that stops as soon as it has started raises CancelledError
        return found
    consumer = AIOKafkaConsumer(**options_alone(settings))
    try:
        async with consumer:
            consumer.assign([partition])
            consumer.seek(partition, start)
            position = start
            while position < end:
                async with asyncio.timeout(SILENCE_SECONDS):
                    while await consumer.position(partition) == position:
                        for record in (await consumer.getmany(partition, timeout_ms=POLL_MS)).get(partition, ()):
                            origin = origin_of(record.headers)
                            if origin is not None and record.offset < end:
                                found.setdefault(origin, record.offset)
                position = await consumer.position(partition)
    except (KafkaError, TimeoutError) as error:
        raise KafkaUnavailable(
            f"Kafka at {settings.kafka} did not give all of {replay} up to offset {end}: {error!r}",
            "Try again when Kafka answers: without all of it a record might be replayed twice.",
        ) from error
    except UnicodeDecodeError as error:
        raise ReplaysUnknown(
            f"{replay} holds a record with a header whose name is not UTF-8, which `pintally dlq replay` never sends",
            f"Find out who else writes to {replay.topic}, and allow it to nobody.",
        ) from error
    return found
