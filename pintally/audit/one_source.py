"""Audits one source: reads its rows and its log, recounts, compares."""

from collections.abc import Iterator, Sequence
from functools import partial

from pintally.audit.addresses import Addresses
from pintally.audit.chain import RulesEpoch, current_rows, epochs_of, follow, in_force, superseded_ledger_rows
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell, CannotTellNow
from pintally.audit.flushed import Flushed, LostRow
from pintally.audit.log import FETCH_BYTES, FEW_BYTES, Log
from pintally.audit.recount import Progress
from pintally.audit.sampled_audit import SampledAudit
from pintally.audit.shards import refuse_other_number
from pintally.audit.source_audit import SourceAudit, SourceReport
from pintally.audit.tables import read_starts


def audit_source(
    addresses: Addresses, flushed: Flushed, since: int, progress: Progress, drawn: Sequence[int] | None = None
) -> SourceReport:
    """Recount and compare one source; slices that arrived before `since` (seconds since 1970) are left out.

    If slices are `drawn`, only those that start there are recounted; without any, the log is not read.
    """
    report = SourceReport(str(flushed))
    try:
        epochs = epochs_of(flushed)
        report.known = len(current_rows(flushed, epochs))
        refuse_other_number(flushed, epochs, addresses)
        given_up = [row for row in in_force(flushed) if not (flushed.replaced and row.start == row.end)]
        report.lost += [_in_words(flushed, row) for row in given_up]
        report.position, gaps = follow(flushed, epochs)
        for finding in (*superseded_ledger_rows(flushed, epochs), *gaps):
            report.findings.add(finding)
        if flushed.is_over:
            report.unverifiable += _not_recounted(flushed, epochs, since, report.position)
            return report
        if drawn is not None and not drawn:
            return report
        audit = SourceAudit if drawn is None else partial(SampledAudit, drawn)
        fetch_bytes = FETCH_BYTES if drawn is None else FEW_BYTES
        with ClickHouse(addresses) as clickhouse, Log(addresses, fetch_bytes=fetch_bytes) as log:
            audit(addresses, flushed, epochs, report, progress).run(clickhouse, log, since)
            if read_starts(clickhouse, flushed.id) != flushed.starts:
                raise CannotTellNow(f"{flushed}: its rules changed during the check", "Run `pintally verify` again.")
    except CannotTell as reason:
        passes = isinstance(reason, CannotTellNow)
        report.unverifiable.append(str(reason))
        report.transient += [str(reason)] if passes else []
    return report


LOST = {
    "trimmed": "deleted from the log before they were counted",
    "truncated": "counted, then lost by the log; their counts were removed",
    "retired": "their topic was deleted; their counts stay",
    "recounted": "no longer in the log when the rest was counted again",
    "damaged": "counted; their rows are damaged, and the log no longer holds them",
}


def _not_recounted(flushed: Flushed, epochs: Sequence[RulesEpoch], since: int, position: int) -> Iterator[str]:
    """Yields why the counts of a source cannot be checked whose log has ended."""
    rows = current_rows(flushed, epochs)
    if any(row.arrived_at >= since for row in rows):
        why = "another topic replaced it" if flushed.replaced else "its topic was given up"
        yield (
            f"{flushed} of UUID {flushed.topic_id}: {sum(row.counted for row in rows):,} events of the offsets"
            f" {epochs[0].start} to {position} cannot be recounted: {why}\n  --since-hours leaves them out."
        )


def _in_words(flushed: Flushed, row: LostRow) -> str:
    note = f" ({row.note})" if row.note else ""
    return f"{flushed}: offsets {row.start} to {row.end}: {LOST[row.kind]}{note}"
