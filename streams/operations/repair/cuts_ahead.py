"""The newest cut, and sources that have not reached it: of a copy of the ledger that is older than the cuts.

A cut is published once every source has passed it. So a source whose next record still arrives before it was set back:
its ledger was restored or deleted, or rules, a loss or a repair have it count again. What it counts then opens what it
changes; as of an earlier moment, answers may be others than those that were given.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

from pintally.schemas.rules import ARRIVAL_BUCKET_MS
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import follow, is_retired
from pintally.streams.kafka.fetching.reader import read_chunks
from pintally.streams.kafka.topics import read_offsets
from pintally.streams.settings import KafkaSettings


def sources_before_cut(kafka: KafkaSettings, session: MaintenanceSession, sources: list[Source]) -> Iterator[str]:
    """Yields each source that has not passed the newest cut, in words. The cut is read first, then ledger and log."""
    cut = session.newest_cut()
    if not cut:
        return
    ledgers, offsets = session.read_ledgers(sources), read_offsets(kafka, sources)
    for source in sources:
        ledger = ledgers[source]
        if not ledger.starts or is_retired(ledger):
            continue
        chain = follow(ledger)
        if chain.stream_time < cut * 1000:
            bucket = _next_bucket(kafka, source, chain.position, chain.stream_time, offsets[source])
            if bucket is not None and bucket < cut:
                yield f"{source} is counted to {_utc(bucket)}, the newest cut is {_utc(cut)}"


def _next_bucket(kafka: KafkaSettings, source: Source, position: int, stream_time: int, offsets: Offsets) -> int | None:
    """The arrival bucket (seconds since 1970) of the next record; None if there is none."""
    if not offsets.log_start <= position < offsets.last_stable:
        return None

    async def first() -> int | None:
        chunks = read_chunks(kafka, source, position, offsets.last_stable)
        try:
            async for chunk in chunks:
                stamped = chunk.timestamps[chunk.timestamps >= 0]
                if len(stamped):
                    return int(stamped[0])
        finally:
            await chunks.aclose()
        return None

    timestamp = asyncio.run(first())
    if timestamp is None:
        return None
    return max(stream_time, timestamp) // ARRIVAL_BUCKET_MS * ARRIVAL_BUCKET_MS // 1000


def _utc(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%MZ}"
