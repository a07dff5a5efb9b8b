"""The next look, of the one before and of what both engines said now. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from pintally.schemas.sources import Source
from pintally.serve.findings import Engine, InClickHouse, InKafka, Look, Trouble
from pintally.serve.seen import Seen, is_counted, see
from pintally.streams.counting.log import Offsets
from pintally.streams.operations.progress import Progress, progress_of
from pintally.streams.worker.finality import clocks_of


def next_look(
    before: Look,
    kafka: InKafka | None,
    clickhouse: InClickHouse | None,
    trouble: Mapping[Engine, Trouble],
    margin_ms: int,
    now: float,
    seconds: float,
) -> Look:
    """Returns the look at `now`. What an engine did not say is what it said in the look before."""
    look = replace(before, number=before.number + 1, at=now, kafka=kafka, clickhouse=clickhouse, trouble=trouble,
                   seconds=seconds, answered=before.answered if trouble else now)  # fmt: skip
    if kafka is None or clickhouse is None:
        return look
    sources = tuple(_progress(source, clickhouse, offsets) for source, offsets in kafka.offsets.items())
    seen = see(_seen_before(before, now), list(sources), now, kafka.oldest)
    if trouble:  # what is old says nothing of now
        seen = {source: before.seen.get(source, known) for source, known in seen.items()}
    clocks: dict[Source, int | None] = clocks_of(
        margin_ms, kafka.topics, clickhouse.ledgers, {each.source: each.ends for each in sources}, int(now * 1000)
    )
    return replace(look, sources=sources, seen=seen, clocks=clocks)


def uncounted(look: Look) -> list[Source]:
    """Returns the sources that have records of which none was ever counted."""
    return [each.source for each in look.sources if each.lag and not is_counted(each)]


def _seen_before(before: Look, now: float) -> dict[Source, Seen]:
    """While an engine was away nobody could see a source move: the time in which it should begins again."""
    if not before.trouble:
        return dict(before.seen)
    return {source: replace(seen, moved_at=now) for source, seen in before.seen.items()}


def _progress(source: Source, clickhouse: InClickHouse, offsets: Offsets) -> Progress:
    """The ends of the log may be of an older look than the ledger: then they are at least where that is."""
    known = progress_of(source, clickhouse.ledgers.get(source), offsets)
    if known.position is None or known.position <= known.log_end:
        return known
    return replace(known, log_end=known.position, last_stable=known.position)
