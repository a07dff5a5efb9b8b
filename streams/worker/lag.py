"""How old what is not flushed is. Pure; times are Unix seconds."""

from collections.abc import Iterable, Mapping

from pintally.schemas.rows import position_of
from pintally.schemas.sources import Source
from pintally.streams.counting.fold import SourceFold


def flushed_position(fold: SourceFold) -> int | None:
    """The offset up to which a source is flushed; None if nothing of it is."""
    return None if fold.flushed_version is None else position_of(fold.flushed_version)


def is_flushed(fold: SourceFold, end: int) -> bool:
    """Whether all that may be read is flushed. A log that was never written to has nothing to flush."""
    flushed = flushed_position(fold)
    return fold.position >= end and fold.oldest_pending is None and (flushed is None or flushed >= end)


def caught_up(
    ends: Iterable[tuple[SourceFold, int | None]], before: Mapping[Source, float], now: float
) -> dict[Source, float]:
    """When each source was last flushed to its end; sources that left are forgotten."""
    found: dict[Source, float] = {}
    for fold, end in ends:
        if end is not None and is_flushed(fold, end):
            found[fold.source] = now
        elif fold.source in before:
            found[fold.source] = before[fold.source]
    return found


def lag_seconds(fold: SourceFold, end: int, caught_up_at: float, now: float) -> float:
    """The age of the oldest record that is folded and not flushed, else of the stream time; 0 if all is flushed.

    The stream time of a source that was idle is old. Its age is not more than the time since all of it was flushed.
    """
    if is_flushed(fold, end):
        return 0.0
    since = fold.stream_time if fold.oldest_pending is None else fold.oldest_pending
    return max(0.0, now - max(since / 1000, caught_up_at)) if since > 0 else 0.0
