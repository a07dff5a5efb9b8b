"""What looks before this one say of a source: since when it has not moved, and when it was counted to its end. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pintally.schemas.sources import Source
from pintally.streams.operations.progress import Progress

WATCHED_SECONDS = 1800.0  # the ends of a log are compared with those of so long ago, and up to twice as long
SHORTEST_SECONDS = 10.0  # from which a rate is told


@dataclass(frozen=True, slots=True)
class Ends:
    """Where the log of a source began and ended at a moment."""

    at: float
    log_start: int
    log_end: int


@dataclass(frozen=True, slots=True)
class Seen:
    """One source; moments in Unix seconds."""

    position: int | None
    moved_at: float  # when its position last changed
    caught_up_at: float  # when it was last counted to its end; 0: not since we look
    oldest_at: float = 0.0  # Kafka timestamp of its oldest record, if none was ever counted; 0: unknown
    ends: tuple[Ends, ...] = ()  # of earlier looks: at most two, the older one first


def see(
    before: Mapping[Source, Seen], sources: list[Progress], now: float, oldest: Mapping[Source, int]
) -> dict[Source, Seen]:
    """Returns what is known after a look. A source that is new to us has just moved.

    `oldest` has the Kafka timestamp, in ms, of the oldest record of sources that were never counted.
    """
    return {each.source: _see(before.get(each.source), each, now, oldest.get(each.source, 0)) for each in sources}


def _see(before: Seen | None, progress: Progress, now: float, oldest: int) -> Seen:
    moved_at = before.moved_at if before and before.position == progress.position else now
    ends = _ends(before.ends if before else (), progress, now)
    known = Seen(progress.position, moved_at, before.caught_up_at if before else 0.0, oldest / 1000, ends)
    return known if progress.lag else replace(known, caught_up_at=now)


def _ends(before: tuple[Ends, ...], progress: Progress, now: float) -> tuple[Ends, ...]:
    if before and now - before[-1].at < WATCHED_SECONDS:
        return before
    return (*before, Ends(now, progress.log_start, progress.log_end))[-2:]


def is_counted(progress: Progress) -> bool:
    """Whether any record of it was ever counted."""
    return (progress.stream_time or 0) > 0


def lag_seconds(progress: Progress, seen: Seen, now: float) -> float:
    """The age of what is counted: of the flushed stream time, or of the last moment at which all was counted.

    A source without records for a day has an old stream time; its next record is not a day behind. If it was never
    counted: the age of its oldest record.
    """
    if not progress.lag:
        return 0.0
    since = max((progress.stream_time or 0) / 1000, seen.caught_up_at)
    if seen.oldest_at and not is_counted(progress):
        since = seen.oldest_at
    return max(0.0, now - since) if since > 0 else 0.0


def retention_headroom(
    progress: Progress, seen: Seen, retention_ms: int, *, by_broker: bool, now: float
) -> float | None:
    """Seconds until retention may delete a record that is not counted; None if nothing is, or nothing is deleted.

    `by_broker`: the broker stamps records when they come. Else a producer may stamp one as old as what came before it.
    """
    if not progress.lag or retention_ms < 0:
        return None
    if progress.position is not None and progress.position < progress.log_start:
        return 0.0
    if is_counted(progress):
        oldest = max((progress.stream_time or 0) / 1000, seen.caught_up_at if by_broker else 0.0)
    else:
        oldest = seen.oldest_at
    return max(0.0, oldest + retention_ms / 1000 - now) if oldest > 0 else None


def size_headroom(progress: Progress, seen: Seen, retention_bytes: int, now: float) -> float | None:
    """Seconds until a log that is limited by its size may lose a record that is not counted; None if none is known.

    While its beginning is deleted, Kafka deletes as much as is produced. So what is counted and not deleted yet lasts
    for as long as producers need for as many records. Bytes are not asked for: that needs a right of its own.
    """
    if not progress.lag or retention_bytes < 0 or not seen.ends:
        return None
    before = seen.ends[0]
    produced, seconds = progress.log_end - before.log_end, now - before.at
    if progress.log_start <= before.log_start or produced <= 0 or seconds < SHORTEST_SECONDS:
        return None
    counted = (progress.log_start if progress.position is None else progress.position) - progress.log_start
    return max(0.0, counted * seconds / produced)
