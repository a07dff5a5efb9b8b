"""Hours that were sealed before their time: by the stamp that ClickHouse gave the row of `sealed` that holds.

An hour is final once its end and the allowed lateness are over. Who sealed it before that had a clock that is ahead,
and told readers that nothing would count into it any more.
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
NEVER_LATE_MS = 2**32 * 1000  # of a replay topic, which holds nothing back
EARLY = """
SELECT toUInt32(window_start) AS window, toUInt32(written_at) AS written
FROM sealed FINAL
WHERE resolution = 'hour' AND NOT is_open AND window_start >= toDateTime({since:UInt32}, 'UTC')
    AND toInt64(toUInt32(written_at)) < toInt64(toUInt32(window_start)) + {needed:UInt32}
ORDER BY window"""


def least_lateness_ms(sources: Sequence[Flushed]) -> int:
    """The least that any rules of these sources ask for: an hour may have been sealed by rules that hold no more."""
    known: list[int] = []
    for source in sources:
        with suppress(CannotTell):  # audit_source says it
            known += [epoch.rules.allowed_lateness_ms for epoch in epochs_in_force(source.starts)]
    return min((lateness for lateness in known if lateness < NEVER_LATE_MS), default=0)


def check_sealed_early(clickhouse: ClickHouse, lateness_ms: int, since: int) -> Iterator[Finding]:
    """Each such hour from `since` (seconds) on, with the time when it was sealed and the first at which it could be."""
    needed = HOUR + lateness_ms // 1000
    for row in clickhouse.rows(EARLY, since=since, needed=needed):
        sealed_at, due = utc(row["written"]), utc(row["window"] + needed)
        yield Finding(Kind.SEALED_EARLY, "sealed", sealed_at, due, "hour", minute=utc(row["window"]))
