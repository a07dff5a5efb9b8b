"""Times and durations as text."""

from datetime import UTC, datetime


def moment(ms: int) -> str:
    """Returns Unix milliseconds as 2026-01-31 23:59:58 UTC; as a number if it is out of range."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"


def duration(ms: int) -> str:
    """Returns milliseconds as 1 h, 90 s, 1.5 s: in the largest unit without a remainder."""
    for length, unit in ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min")):
        if ms and ms % length == 0:
            return f"{ms // length} {unit}"
    return f"{ms / 1000:.10g} s"


def utc(seconds: int) -> str:
    """Unix seconds as 2026-01-31T23:59Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")
