"""Checks the counts: reads the tables, reads the log, recounts, and compares.

Running workers cause no false alarm. The order of reads is: ledger, start rows, then for each source its cells (one
query, one snapshot of the table), and last the log up to the furthest offset of any row.
- A ledger row is written after the rows of its flush. So the cells that are read later contain everything that the
  ledger covers, in that version or a newer one. A row is checked at its own version: it may be ahead of the ledger, but
  never behind it.
- Between two reads, a row may be replaced by a newer one, or written again by a late retry or a stale worker. The
  newest version is current, and each version is right at its own position, because a count is a function of the log.
- The log only grows, and its last stable offset is read last. All rows count records below it.
- Cuts are read before the ledger. So every source that a cut has waited for has passed it in the ledger.
- A source without a start row has not started, and is only reported. Start rows are read after the ledger, and the
  sources of cells before it, so a source that has started has a start row.
- An insert into the ledger may be visible in part, while it is retried after a failure. A gap between slices counts
  only if it is still there some seconds later.
- On replicas one server is asked, and waited for after cuts and after the ledger: tables are copied each by itself.
- If rules change during the check, they supersede rows that were already read. So the start rows are read again after
  the cells; if they differ, the source is reported as not verifiable this time.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from time import monotonic, sleep, time
from typing import Any

from pintally.audit.addresses import Addresses
from pintally.audit.aggregates import AGGREGATES
from pintally.audit.all_sources import Progress, audit_all
from pintally.audit.arm_users import check_arm_users
from pintally.audit.chain import epochs_in_force, follow
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell
from pintally.audit.features.check import check_features, count_windows
from pintally.audit.features.cuts import check_closed
from pintally.audit.features.state import read_state
from pintally.audit.findings import Finding, Findings, Kind
from pintally.audit.flushed import Flushed
from pintally.audit.invariants import Sums, check_ledger, check_trusted, read_sums, superseded_slices
from pintally.audit.kept import read_kept
from pintally.audit.log import Log, Partition
from pintally.audit.replaced import Copy, counted_twice, said, supposed
from pintally.audit.replicas import await_rows
from pintally.audit.rollups import check_rollups, count_sealed
from pintally.audit.row_policies import refuse_hidden_rows
from pintally.audit.sampling import Sample, Sampling, Slices, draw, recountable
from pintally.audit.sealed_early import check_sealed_early, least_lateness_ms
from pintally.audit.shards import added, recorded_by_all, refuse_other_order
from pintally.audit.source_audit import SourceReport
from pintally.audit.tables import known_ids, read_cell_sources, read_flushed, read_replaced
from pintally.audit.users import check_users

GAP_LOOKS = 6
PAUSE_SECONDS = 1.0


@dataclass(slots=True)
class Report:
    """The result of `verify`."""

    sources: list[SourceReport] = field(default_factory=list)
    not_started: list[tuple[str, int]] = field(default_factory=list)  # source, records it holds
    findings: Findings = field(default_factory=Findings)
    unverifiable: list[str] = field(default_factory=list)
    transient: list[str] = field(default_factory=list)  # those of `unverifiable` where trying again may help
    replaced: list[str] = field(default_factory=list)  # replaced topics
    waiting: list[str] = field(default_factory=list)  # sources behind an open transaction: lag, not a difference
    lost: list[str] = field(default_factory=list)  # accepted losses: not a difference, but reported
    windows: int = 0  # sealed hours and days compared
    records: int = 0
    seconds: float = 0.0
    sample: Sample | None = None  # what was drawn; None: every slice was recounted

    @property
    def exit_code(self) -> int:
        """0 exact, 1 different, 2 cannot tell (for all or a part), 75 cannot tell now."""
        if self.findings:
            return 1
        if set(self.unverifiable) - set(self.transient):
            return 2
        return 75 if self.unverifiable else 0


def verify(
    addresses: Addresses,
    only: Sequence[str] = (),
    since: int = 0,
    processes: int | None = None,
    progress: Progress = lambda _done, _of: None,
    copies: Sequence[Copy] = (),
    sampling: Sampling | None = None,
) -> Report:
    """Audit every source whose name, `topic` or `topic[partition]`, is in `only` (all if empty).

    With `sampling` only some slices of them are recounted. All else is checked whole.

    `copies` are assumed to be copies with the same offsets; then only the topics that they copy are checked.

    Slices that arrived, and windows that began, before `since` (seconds since 1970) are left out. Raises CannotTell if
    the log or the tables cannot be read.
    """
    began = monotonic()
    report = Report()
    with ClickHouse(addresses) as clickhouse, Log(addresses) as log:
        refuse_hidden_rows(clickhouse, addresses.user)
        refuse_other_order(clickhouse, addresses)
        celled, published = read_cell_sources(clickhouse), read_state(clickhouse)
        await_rows(clickhouse, replicas=addresses.replicas)
        flushed, replaced = _read_settled(clickhouse), read_replaced(clickhouse)
        await_rows(clickhouse, replicas=addresses.replicas)
        addresses = replace(addresses, server=clickhouse.server)
        if copies:
            flushed = supposed(flushed, copies)
        partitions = log.partitions([topic for topic, _ in addresses.topics], known_ids(replaced))
        ours = _select(flushed, addresses, only)
        waiting = log.waiting([at for at in partitions if _is_asked(at, only)])
        _check_tables(clickhouse, report, ours, addresses)
        if not only and not copies:
            _check_orphans(report, celled, flushed)
            report.windows = count_sealed(clickhouse, since) + count_windows(clickhouse, since)
            _add(report, check_rollups(clickhouse, since))
            _add(report, check_users(clickhouse, since))
            _add(report, check_arm_users(clickhouse, since))
            _add(report, check_sealed_early(clickhouse, least_lateness_ms(ours), since))
            _add(report, check_features(clickhouse, since))
            _add(report, check_closed(clickhouse, log, published, ours, partitions))
        if not copies:
            report.replaced = said(replaced, only)
            report.unverifiable += counted_twice(clickhouse, flushed, replaced, only, since)
    report.not_started = [] if copies else _not_started(partitions, flushed, only)
    missing = {topic for topic, _ in addresses.topics} - {partition.topic for partition in partitions}
    report.unverifiable += [
        f"{topic}: Kafka does not know this topic\n  Run `pintally migrate`, or check PINTALLY_TOPIC_PREFIX."
        for topic in sorted(missing)
        if not only or topic in only
    ]
    report.unverifiable += _unknown(only, addresses, partitions, flushed)
    drawn = _draw(report, ours, partitions, since, sampling) if sampling else None
    report.sources = audit_all(addresses, ours, since, processes, progress, drawn)
    for source in report.sources:
        report.findings.merge(source.findings)
        report.unverifiable += source.unverifiable
        report.transient += source.transient
        report.lost += source.lost
        report.records += sum(source.outcomes.values())
    nothing = not any(source.ledger for source in ours)
    now = int(time() * 1000)
    report.waiting = [each.in_words(addresses.kafka) for each in waiting if nothing or each.is_hanging(now)]
    if nothing:
        report.unverifiable += _nothing_counted(report, sum(each.end - each.offset for each in waiting))
    report.seconds = monotonic() - began
    return report


def _draw(
    report: Report, ours: Sequence[Flushed], partitions: Sequence[Partition], since: int, sampling: Sampling
) -> Slices:
    """Draw among the slices that can be recounted."""
    starts = {(at.topic, at.topic_id, at.partition): at.start for at in partitions}
    known: Slices = {}
    for source in ours:
        log_start = starts.get((source.topic, source.topic_id, source.partition))
        try:
            known[source.id] = [] if log_start is None else recountable(source, log_start, since)
        except CannotTell:
            continue  # audit_source reports it
    drawn = draw(known, sampling)
    chosen, of = (sum(map(len, slices.values())) for slices in (drawn, known))
    report.sample = Sample(sampling.share, sampling.seed, chosen, of)
    return drawn


def _read_settled(clickhouse: ClickHouse) -> list[Flushed]:
    """Returns the ledger; reads it again for some seconds if slices do not join."""
    for look in range(GAP_LOOKS):
        flushed = read_flushed(clickhouse)
        if look == GAP_LOOKS - 1 or not any(_gaps(source) for source in flushed):
            break
        sleep(PAUSE_SECONDS)
    return flushed


def _gaps(source: Flushed) -> bool:
    try:
        return bool(source.starts and follow(source, epochs_in_force(source.starts))[1])
    except CannotTell:
        return False


def _select(flushed: Sequence[Flushed], addresses: Addresses, only: Sequence[str]) -> list[Flushed]:
    """Returns the sources to check. Topics with another prefix use other tables, so unknown topics are left out."""
    topics = dict(addresses.topics)
    ours = [each for each in flushed if each.starts and (each.topic in topics or each.replaced)]
    return [each for each in ours if not only or each.topic in only or str(each) in only]


def _check_tables(clickhouse: ClickHouse, report: Report, flushed: Sequence[Flushed], addresses: Addresses) -> None:
    kept = read_kept(clickhouse, *(aggregate.table for aggregate in AGGREGATES))
    oldest = {aggregate.table: kept.since(aggregate.table) for aggregate in AGGREGATES}
    summed, (sums, above) = _sums(clickhouse, flushed, addresses)
    for source in flushed:
        try:
            _add(report, check_ledger(source, sums, oldest, summed))
            _add(report, check_trusted(source, above))
            _add(report, superseded_slices(source, epochs_in_force(source.starts), sums))
        except CannotTell:
            continue  # audit_source reports it


def _sums(
    clickhouse: ClickHouse, flushed: Sequence[Flushed], addresses: Addresses
) -> tuple[set[tuple[int, int, int, int]] | None, tuple[Sums, Sums]]:
    """Which slices can be summed (None: all), and the sums of their cells: over all servers that share the pins.

    Cells are on all shards before any ledger has their row. So the ledgers are read first.
    """
    if len(addresses.shards) <= 1:
        return None, read_sums(clickhouse)
    with ExitStack() as stack:
        shards = [stack.enter_context(ClickHouse(shard)) for shard in addresses.of_shards()]
        summed = recorded_by_all([flushed, *map(read_flushed, shards)])
        for shard in shards:
            await_rows(shard, replicas=addresses.replicas)
        return summed, added(map(read_sums, shards))


def _check_orphans(report: Report, celled: set[int], flushed: Sequence[Flushed]) -> None:
    """Cells and ledger rows of sources that have no start row."""
    started = {source.id for source in flushed if source.starts}
    orphans = (celled | {source.id for source in flushed}) - started
    for source in sorted(orphans):
        report.findings.add(Finding(Kind.INVARIANT, f"source {source}", None, None, "no start row"))


def _not_started(
    partitions: Sequence[Partition], flushed: Sequence[Flushed], only: Sequence[str]
) -> list[tuple[str, int]]:
    started = {(source.topic, source.topic_id, source.partition) for source in flushed if source.starts}
    return [
        (f"{at.topic}[{at.partition}]", at.end - at.start)
        for at in partitions
        if (at.topic, at.topic_id, at.partition) not in started and at.end > at.start and _is_asked(at, only)
    ]


def _unknown(
    only: Sequence[str], addresses: Addresses, partitions: Sequence[Partition], flushed: Sequence[Flushed]
) -> Iterator[str]:
    """Yields the names in `only` that are no source: a misspelt name would never differ."""
    sources = {f"{at.topic}[{at.partition}]" for at in partitions} | {str(source) for source in flushed}
    topics = {topic for topic, _ in addresses.topics}
    for name in only:
        if name not in sources | topics:
            known = ", ".join(sorted(sources))
            yield f"{name}: unknown to Kafka and to the ledger\n  Give a topic, or one of {known}."


def _is_asked(at: Partition, only: Sequence[str]) -> bool:
    return not only or at.topic in only or f"{at.topic}[{at.partition}]" in only


def _nothing_counted(report: Report, waiting: int) -> Iterator[str]:
    """Yields that nothing is counted: without ledger rows there is nothing to compare."""
    behind = sum(offsets for _, offsets in report.not_started) + sum(source.lag or 0 for source in report.sources)
    if waiting and not behind:
        yield (
            f"nothing has been counted yet: all {waiting:,} offsets of the log wait for open transactions\n"
            "  The transactions are listed above."
        )
    if behind:
        yield (
            f"nothing has been counted yet: the log holds {behind:,} offsets, the ledger none\n"
            "  Start `pintally worker`, and wait until `pintally status` shows lag 0."
        )


def _add(report: Report, findings: Any) -> None:
    for finding in findings:
        report.findings.add(finding)
