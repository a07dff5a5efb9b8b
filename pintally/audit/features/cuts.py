"""Cuts against each other, against the clock of ClickHouse, and against the ledger and the log.

A cut is closed once every source's flushed stream time has reached it; a source that has no further record counts as
idle. So a cut was published too early if the next record that a source will count arrives before it. The ledger is read
after the cuts, and only grows. Not a finding:
- a bucket that is open, because somebody set the source back (rules, a loss, a repair): it will be sealed again;
- a source that began after the publication, or within the hour before it: an old backlog opens the buckets it writes.
"""

from collections.abc import Iterator, Sequence

from pintally.audit.chain import current_rows, epochs_in_force, follow
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell
from pintally.audit.features.state import HOUR, TEN_MINUTES, Cut, State
from pintally.audit.findings import Finding, Kind
from pintally.audit.flushed import Flushed
from pintally.audit.log import Log, Partition
from pintally.audit.words import utc

LEAST_LATENESS = HOUR  # of the rule for complete hours
BEGAN = """
SELECT source, toUInt32(min(written_at)) AS began FROM ingest_starts GROUP BY source"""
PASS = HOUR  # a pass of sealing lists the sources first, and may take long


def check_cuts(state: State, since: int) -> Iterator[Finding]:
    """Yields cuts from `since` (seconds) on that are missing, or do not say what they must."""
    before: Cut | None = None
    for cut in state.cuts:
        if cut.at >= since:
            yield from _check(cut, before)
        before = cut
    ends = {start + TEN_MINUTES for kind, start in state.windows if kind == "tiles"}
    if ends and max(ends) > max(state.newest + TEN_MINUTES, since):
        yield _finding(Kind.CUT_DIFFERS, 0, 1, "rows", state.newest + TEN_MINUTES)


def _check(cut: Cut, before: Cut | None) -> Iterator[Finding]:
    if cut.at % TEN_MINUTES:
        yield _finding(Kind.CUT_DIFFERS, utc(cut.at), utc(cut.at // TEN_MINUTES * TEN_MINUTES), "cut", cut.at)
    if cut.published_ms < cut.at * 1000:
        yield _finding(Kind.CUT_EARLY, utc(cut.published_ms // 1000), utc(cut.at), "published_at", cut.at)
    if not cut.agrees:
        yield _finding(Kind.CUT_DIFFERS, "several", utc(cut.hours_until), "hours_until", cut.at)
    if cut.hours_until > (latest := (cut.at - LEAST_LATENESS) // HOUR * HOUR):
        yield _finding(Kind.CUT_DIFFERS, utc(cut.hours_until), utc(latest), "hours_until", cut.at)
    if before is None:
        return
    if cut.hours_until < before.hours_until:
        yield _finding(Kind.CUT_DIFFERS, utc(cut.hours_until), utc(before.hours_until), "hours_until", cut.at)
    for missing in range(before.at + TEN_MINUTES, cut.at, TEN_MINUTES):
        yield _finding(Kind.CUT_DIFFERS, 0, 1, "rows", missing)


def check_closed(
    clickhouse: ClickHouse, log: Log, state: State, sources: Sequence[Flushed], partitions: Sequence[Partition]
) -> Iterator[Finding]:
    """Yields the newest cut for each source that has not passed it.

    `state` was read before `sources`, and they before `partitions`.
    """
    if not state.cuts:
        return
    listed = {(at.topic, at.topic_id, at.partition): at for at in partitions}
    began = {row["source"]: row["began"] for row in clickhouse.rows(BEGAN)}
    latest = state.cuts[-1].published_ms // 1000 - PASS
    for source in sources:
        at = listed.get((source.topic, source.topic_id, source.partition))
        if at is None or source.is_over or not source.starts or began.get(source.id, latest + 1) > latest:
            continue
        reached = _next_arrival(log, source, at, state.newest)
        if reached is not None and not state.is_open("tiles", reached):
            about = f"the next record of {source} arrives before it"
            yield _finding(Kind.CUT_EARLY, utc(state.newest), utc(reached), about, state.newest)


def _next_arrival(log: Log, source: Flushed, at: Partition, cut: int) -> int | None:
    """The bucket of the next record that the source counts; None if that is not before the cut, or there is none."""
    try:
        epochs = epochs_in_force(source.starts)
        position, gaps = follow(source, epochs)
    except CannotTell:
        return None  # audit_source says it
    if gaps or not at.start <= position < at.end:
        return None
    last = max(current_rows(source, epochs), key=lambda row: row.position, default=None)
    stream_time = epochs[-1].start_stream_time if last is None or last.position < position else last.stream_time
    if stream_time >= cut * 1000:
        return None
    for piece in log.read(at.topic, at.partition, position):
        for record in piece.records:
            if record.timestamp >= 0:
                bucket = max(stream_time, record.timestamp) // 1000 // TEN_MINUTES * TEN_MINUTES
                return bucket if bucket < cut else None
        if piece.end >= at.end:
            return None
    return None


def _finding(kind: Kind, found: int | str, expected: int | str, what: str, cut: int) -> Finding:
    return Finding(kind, "cuts", found, expected, what, minute=utc(cut))
