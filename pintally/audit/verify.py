"""Proves the counts: reads what ClickHouse says, reads the log, counts again, compares.

Why a live worker gives no false alarm, whatever the schedule. The order of the looks is: ledger, start rows, then for
each source its cells (one query, one snapshot of the table), and last the log up to the furthest place any of them
tells of.
- A ledger row was written after the rows of its flush. So whatever the ledger said at the first look is in the cells of
  the second, as that row or a newer one. A row is checked at its own version: it may be ahead of the ledger, never
  behind a change the ledger vouches for.
- A row may be replaced by a newer one between the looks, or written again by a late retry or a worker that was
  presumed dead: the newest version stays, and each is true at its own, because a count is a function of the log.
- The log only grows, and its last stable offset is read last. What a row tells of is below it.
- Source without a start row at the look: not started, only reported. Start rows are read after the ledger, and sources
  of cells before it, so what has started is seen to have.
- A ledger insert may be seen in part, after a failure that is being repeated: a gap between slices counts only if it is
  still there some seconds later.
- Rules that change during an audit superseded what it read: start rows are read again after the cells, and the source
  is reported as not verifiable this time.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context
from os import cpu_count
from time import monotonic, sleep, time
from typing import Any

from pintally.audit.addresses import Addresses
from pintally.audit.aggregates import AGGREGATES
from pintally.audit.chain import epochs_in_force, follow
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.errors import CannotTell
from pintally.audit.findings import Finding, Findings, Kind
from pintally.audit.flushed import Flushed
from pintally.audit.invariants import check_ledger, read_sums, superseded_slices
from pintally.audit.log import Log, Partition
from pintally.audit.replaced import Copy, counted_twice, said, supposed
from pintally.audit.rollups import check_rollups, count_sealed
from pintally.audit.row_policies import refuse_hidden_rows
from pintally.audit.sealed_early import check_sealed_early, least_lateness_ms
from pintally.audit.source import SourceReport, audit_source
from pintally.audit.tables import kept_days, known_ids, read_cell_sources, read_flushed, read_replaced, server_time

DAY_SECONDS = 86_400
GAP_LOOKS = 6
PAUSE_SECONDS = 1.0
Progress = Callable[[int, int], None]  # (offsets recounted, offsets in all)


@dataclass(slots=True)
class Report:
    """The verdict, and what it rests on."""

    sources: list[SourceReport] = field(default_factory=list)
    not_started: list[tuple[str, int]] = field(default_factory=list)  # source, records it holds
    findings: Findings = field(default_factory=Findings)
    unverifiable: list[str] = field(default_factory=list)
    transient: list[str] = field(default_factory=list)  # those of `unverifiable` that go away by themselves
    replaced: list[str] = field(default_factory=list)  # topics that took the place of others, an operator said so
    waiting: list[str] = field(default_factory=list)  # behind a transaction that does not end: no difference, lag
    lost: list[str] = field(default_factory=list)  # given up by an operator: no difference, and not passed over
    windows: int = 0  # sealed hours and days compared
    records: int = 0
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 exact, 1 it differs, 2 could not tell (of all, or of a part), 75 the same, and only for now."""
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
) -> Report:
    """Audit every source whose name, `topic` or `topic[partition]`, is in `only` (all if empty).

    `copies` are taken for copies with the same offsets, and only what they would stand for is audited.

    Slices that arrived, and windows that began, before `since` (seconds since 1970) are left out. Raises CannotTell if
    nothing could be looked at.
    """
    began = monotonic()
    report = Report()
    with ClickHouse(addresses) as clickhouse, Log(addresses) as log:
        refuse_hidden_rows(clickhouse, addresses.user)
        celled = read_cell_sources(clickhouse)
        flushed, replaced = _read_settled(clickhouse), read_replaced(clickhouse)
        if copies:
            flushed = supposed(flushed, copies)
        partitions = log.partitions([topic for topic, _ in addresses.topics], known_ids(replaced))
        ours = _select(flushed, addresses, only)
        waiting = log.waiting([at for at in partitions if _is_asked(at, only)])
        _check_tables(clickhouse, report, ours)
        if not only and not copies:
            _check_orphans(report, celled, flushed)
            report.windows = count_sealed(clickhouse, since)
            _add(report, check_rollups(clickhouse, since))
            _add(report, check_sealed_early(clickhouse, least_lateness_ms(ours), since))
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
    report.sources = _audit_all(addresses, ours, since, processes, progress)
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


def _read_settled(clickhouse: ClickHouse) -> list[Flushed]:
    """The ledger, read again for some seconds while slices do not join."""
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
    """What was asked for. Topics of another prefix share no table, so an unknown topic is none of ours."""
    topics = dict(addresses.topics)
    ours = [each for each in flushed if each.starts and (each.topic in topics or each.replaced)]
    return [each for each in ours if not only or each.topic in only or str(each) in only]


def _check_tables(clickhouse: ClickHouse, report: Report, flushed: Sequence[Flushed]) -> None:
    kept = [days for aggregate in AGGREGATES if (days := kept_days(clickhouse, aggregate.table)) is not None]
    oldest = server_time(clickhouse) - (min(kept) - 1) * DAY_SECONDS if kept else 0
    sums = read_sums(clickhouse)
    for source in flushed:
        try:
            _add(report, check_ledger(source, sums, oldest))
            _add(report, superseded_slices(source, epochs_in_force(source.starts), sums))
        except CannotTell:
            continue  # audit_source says it


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
        if (at.topic, at.topic_id, at.partition) not in started
        and at.end > at.start
        and (not only or at.topic in only or f"{at.topic}[{at.partition}]" in only)
    ]


def _unknown(
    only: Sequence[str], addresses: Addresses, partitions: Sequence[Partition], flushed: Sequence[Flushed]
) -> Iterator[str]:
    """What was asked for and is no source: of a misspelt name nothing differs."""
    sources = {f"{at.topic}[{at.partition}]" for at in partitions} | {str(source) for source in flushed}
    topics = {topic for topic, _ in addresses.topics}
    for name in only:
        if name not in sources | topics:
            known = ", ".join(sorted(sources))
            yield f"{name}: neither Kafka nor the ledger knows it\n  Name a topic, or one of {known}."


def _is_asked(at: Partition, only: Sequence[str]) -> bool:
    return not only or at.topic in only or f"{at.topic}[{at.partition}]" in only


def _nothing_counted(report: Report, waiting: int) -> Iterator[str]:
    """Where no slice is recorded there is nothing to compare, and that is no proof."""
    behind = sum(offsets for _, offsets in report.not_started) + sum(source.lag or 0 for source in report.sources)
    if waiting and not behind:
        yield (
            f"nothing has been counted yet: all {waiting:,} offsets of the log wait for open transactions\n"
            "  What holds each partition back is named above."
        )
    if behind:
        yield (
            f"nothing has been counted yet: the log holds {behind:,} offsets, the ledger none\n"
            "  Start `pintally worker`, and wait until `pintally status` shows that it has caught up."
        )


def _add(report: Report, findings: Any) -> None:
    for finding in findings:
        report.findings.add(finding)


_recounted: Any = None  # offsets recounted by each source's process, shared with the parent


def _share(counters: Any) -> None:
    global _recounted
    _recounted = counters


def _audit_shared(addresses: Addresses, flushed: Flushed, since: int, number: int) -> SourceReport:
    def add(offsets: int) -> None:
        _recounted[number] += offsets

    return audit_source(addresses, flushed, since, add)


def _audit_all(
    addresses: Addresses, flushed: Sequence[Flushed], since: int, processes: int | None, progress: Progress
) -> list[SourceReport]:
    """One process a source, as many at once as there are cores."""
    of = sum(_to_recount(source, since) for source in flushed)
    workers = min(len(flushed), processes or cpu_count() or 1)
    if workers <= 1:
        return _audit_here(addresses, flushed, since, lambda done: progress(done, of))
    context = get_context("spawn")  # a fork would copy the locks of threads that do not live on in it
    counters = context.RawArray("Q", len(flushed))
    with ProcessPoolExecutor(workers, context, _share, (counters,)) as pool:
        futures: list[Future[SourceReport]] = [
            pool.submit(_audit_shared, addresses, source, since, number) for number, source in enumerate(flushed)
        ]
        pending = set(futures)
        while pending:
            _, pending = wait(pending, timeout=0.5)
            progress(sum(counters), of)
        return [future.result() for future in futures]


def _audit_here(
    addresses: Addresses, flushed: Sequence[Flushed], since: int, progress: Callable[[int], None]
) -> list[SourceReport]:
    done = 0

    def add(offsets: int) -> None:
        nonlocal done
        done += offsets
        progress(done)

    return [audit_source(addresses, source, since, add) for source in flushed]


def _to_recount(source: Flushed, since: int) -> int:
    """About how many offsets the recount will read."""
    starts = [row.start for row in source.starts] + [row.start for row in source.ledger if row.arrived_at >= since]
    furthest = max((row.position for row in source.ledger), default=0)
    return max(0, furthest - min((start for start in starts if since == 0 or start), default=furthest))
