"""Which records were replayed. The replay topics are the only place that stores it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping

from pintally.schemas.dead_letters import UNREADABLE
from pintally.schemas.errors import Refusal
from pintally.schemas.replays import Origin, origin_of
from pintally.schemas.rows import StartRow
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.kafka.fetching.reader import read_chunks
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.kafka.topics import describe_topics, read_offsets, sources_of
from pintally.streams.operations.replay.horizon import ReplaysUnknown
from pintally.streams.settings import KafkaSettings, Settings

Replayed = Mapping[Source, Mapping[int, int]]  # source of the letter -> its offset -> offset on the replay topic


def replayed_origins(settings: Settings) -> Replayed:
    """Returns every replayed record of all topics, with its offset in the replay topic. Blocking.

    Replays that the topic has deleted are not included, see `horizon`. Raises TopicMissing and KafkaUnavailable.
    """
    topics = as_known(describe_topics(settings.kafka, settings.topics), ClickHouseSink(settings.clickhouse).replaced())
    replays = sources_of({name: topics[name] for name in settings.topics.replay_names.values()})
    found: dict[Source, dict[int, int]] = defaultdict(dict)
    for replay, offsets in read_offsets(settings.kafka, replays).items():
        for origin, at in asyncio.run(
            read_origins(settings.kafka, replay, offsets.log_start, offsets.last_stable)
        ).items():
            found[origin.source][origin.offset] = at
    return dict(found)


def refuse_replayed(epoch_starts: Iterable[StartRow], replayed: Replayed) -> None:
    """Refuse an epoch start if a later record was replayed: by other rules it might count a second time."""
    for row in epoch_starts:
        if beyond := [offset for offset in replayed.get(row.source, ()) if offset >= row.start]:
            raise Refusal(
                f"{Origin(row.source, max(beyond))} was replayed, and its source would get other rules from offset "
                f"{row.start} on: the record might count a second time",
                "Let workers continue until that slice has ended: ten minutes and one more record. Then try again.",
            )


async def read_origins(kafka: KafkaSettings, replay: Source, start: int, end: int) -> dict[Origin, int]:
    """Returns the origins of all committed records in [start, end) of a partition, with their offsets there.

    Raises KafkaUnavailable if Kafka does not answer, ReplaysUnknown if a batch cannot be read.
    """
    found: dict[Origin, int] = {}
    async for chunk in read_chunks(kafka, replay, start, end):
        for offset, (_, headers) in chunk.envelopes(chunk.offsets.tolist()).items():
            if unreadable := dict(headers).get(UNREADABLE):
                raise ReplaysUnknown(
                    f"{replay} holds a batch that cannot be read; `pintally dlq replay` never sends one: "
                    f"{unreadable.decode()}",
                    f"Find out who else writes to {replay.topic}, and revoke that right.",
                )
            if origin := origin_of(headers):
                found.setdefault(origin, offset)
    return found
