"""Hours that were sealed too early, by the time that ClickHouse gave their row of `sealed`.

An hour is final when its end and the allowed lateness have passed. If it was sealed before, the clock of the sealer was
ahead, and readers were told that the hour is final while events could still come.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress

from pintally.audit.chain import epochs_in_force
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell
from pintally.audit.findings import Finding, Kind
from pintally.audit.flushed import Flushed
from pintally.audit.words import utc

HOUR = 3600
NEVER_LATE_MS = 2**32 * 1000  # of a replay topic, which blocks nothing
EARLY = """
SELECT toUInt32(window_start) AS window, toUInt32(written_at) AS written
FROM sealed FINAL
WHERE resolution = 'hour' AND NOT is_open AND window_start >= toDateTime({since:UInt32}, 'UTC')
    AND toInt64(toUInt32(written_at)) < toInt64(toUInt32(window_start)) + {needed:UInt32}
ORDER BY window"""


def least_lateness_ms(sources: Sequence[Flushed]) -> int:
    """Returns the smallest lateness of all rules of these sources: an hour may have been sealed by earlier rules."""
    known: list[int] = []
    for source in sources:
        with suppress(CannotTell):  # audit_source says it
            known += [epoch.rules.allowed_lateness_ms for epoch in epochs_in_force(source.starts)]
    return min((lateness for lateness in known if lateness < NEVER_LATE_MS), default=0)


def check_sealed_early(clickhouse: ClickHouse, lateness_ms: int, since: int) -> Iterator[Finding]:
    """Yields each such hour from `since` (seconds) on, with the time when it was sealed and the earliest right time."""
    needed = HOUR + lateness_ms // 1000
    for row in clickhouse.rows(EARLY, since=since, needed=needed):
        sealed_at, due = utc(row["written"]), utc(row["window"] + needed)
        yield Finding(Kind.SEALED_EARLY, "sealed", sealed_at, due, "hour", minute=utc(row["window"]))
