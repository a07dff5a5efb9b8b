"""Which minutes are final: no source can still count into them (rules 21 and 22). Decides; `sinks.seal` acts.

Replay topics hold nothing back, for what comes through them is late by nature: it corrects hours that are sealed.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping

from schemas.rules import MINUTE_MS
from schemas.sources import Source
from sinks.base import Sink, SinkUnavailable, SourceLedger
from sinks.seal import seal
from streams.admin import KafkaUnavailable
from streams.recovery import follow
from streams.settings import Settings
from streams.topics import Offsets, TopicInfo, describe_topics, read_offsets, sources_of

log = logging.getLogger(__name__)


def final_until(
    settings: Settings,
    topics: Mapping[str, TopicInfo],
    ledgers: Mapping[Source, SourceLedger],
    offsets: Mapping[Source, Offsets],
    looked_at_ms: int,
) -> int | None:
    """Seconds since 1970 below which every minute is final; None while some source holds all back.

    `looked_at_ms` is the wall clock taken before `offsets` were read: no later record can carry an earlier append time.
    """
    clocks = []
    for source in sources_of(topics):
        clock = _clock(settings, topics[source.topic], ledgers.get(source), offsets[source], looked_at_ms)
        if clock is None:
            return None
        clocks.append(clock)
    final_ms = min(clocks) - settings.rules.allowed_lateness_ms
    return max(0, final_ms // MINUTE_MS * MINUTE_MS // 1000)


def _clock(
    settings: Settings, topic: TopicInfo, ledger: SourceLedger | None, offsets: Offsets, looked_at_ms: int
) -> int | None:
    """The emitted clock of one source in ms; None if it was never read and is not empty."""
    chain = follow(ledger) if ledger and ledger.starts else None
    position = chain.position if chain else offsets.log_start
    idle_margin_ms = settings.idle_margin_seconds * 1000
    stamps_are_recent = topic.timestamp_type == "LogAppendTime" or topic.timestamp_before_max_ms <= idle_margin_ms
    caught_up = position == offsets.log_end == offsets.last_stable
    if caught_up and stamps_are_recent:
        return max(chain.clock if chain else 0, looked_at_ms - idle_margin_ms)
    return chain.clock if chain else None


def _look(settings: Settings, sink: Sink) -> int | None:
    topics = {name: topic for name, topic in describe_topics(settings).items() if name in settings.topics.values()}
    sources = sources_of(topics)
    looked_at_ms = time.time_ns() // 1_000_000
    offsets = read_offsets(settings, sources)
    with sink.session() as session:
        ledgers = session.read_ledgers(sources)
    return final_until(settings, topics, ledgers, offsets, looked_at_ms)


async def seal_final_hours(settings: Settings, sink: Sink, assigned: Collection[tuple[str, int]]) -> None:
    """Seal what is final. Done by the worker that counts partition 0 of the first topic; harmless if two do it."""
    if (min(settings.topics.values()), 0) not in assigned:
        return
    try:
        until = await asyncio.to_thread(_look, settings, sink)
        if until is not None:
            await asyncio.to_thread(seal, settings.clickhouse, until)
    except (SinkUnavailable, KafkaUnavailable) as error:
        log.info("nothing sealed now: %s", error.what)
