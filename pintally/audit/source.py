"""Audits one source: reads its rows and its log, recounts, compares."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from pintally.audit.addresses import Addresses
from pintally.audit.aggregates import AGGREGATES, CellRow
from pintally.audit.chain import RulesEpoch, current_rows, cuts, epochs_of, follow, in_force, superseded_ledger_rows
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.compare import Judge, Table
from pintally.audit.contract import ACTIONS
from pintally.audit.errors import CannotTell, CannotTellNow
from pintally.audit.findings import Finding, Findings, Kind
from pintally.audit.flushed import Flushed, LostRow
from pintally.audit.in_log_order import CellsBySlice, LettersByOffset
from pintally.audit.log import Log, Partition
from pintally.audit.places import beginning, counted_elsewhere
from pintally.audit.recount import Recount, Slice, SliceStart, State
from pintally.audit.tables import kept_days, known_ids, read_cells, read_dead_letters, read_starts, server_time

DAY_MS = 86_400_000
SPARE_DAYS = 1  # rows that are deleted by age may be missing a day earlier
Progress = Callable[[int], None]  # is called with the number of offsets that were recounted since the last call


@dataclass(slots=True)
class SourceReport:
    """The result of the audit of one source. `unverifiable` says why parts, or all, could not be checked."""

    source: str
    slices: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(State._fields[1:], 0))
    cells: int = 0
    checked_from: int | None = None
    position: int = 0  # how far all is flushed
    log_end: int | None = None
    findings: Findings = field(default_factory=Findings)
    unverifiable: list[str] = field(default_factory=list)
    transient: list[str] = field(default_factory=list)  # those of `unverifiable` where trying again may help
    lost: list[str] = field(
        default_factory=list
    )  # accepted losses, and ranges that cannot be recounted because of them

    @property
    def lag(self) -> int | None:
        """Offsets that the log holds and the ledger does not cover."""
        return None if self.log_end is None else max(0, self.log_end - self.position)


def audit_source(addresses: Addresses, flushed: Flushed, since: int, progress: Progress) -> SourceReport:
    """Recount and compare one source; slices that arrived before `since` (seconds since 1970) are left out."""
    report = SourceReport(str(flushed))
    try:
        epochs = epochs_of(flushed)
        given_up = [row for row in in_force(flushed) if not (flushed.replaced and row.start == row.end)]
        report.lost += [_in_words(flushed, row) for row in given_up]
        report.position, gaps = follow(flushed, epochs)
        for finding in (*superseded_ledger_rows(flushed, epochs), *gaps):
            report.findings.add(finding)
        if flushed.is_over:
            report.unverifiable += _not_recounted(flushed, epochs, since, report.position)
            return report
        with ClickHouse(addresses) as clickhouse, Log(addresses) as log:
            _SourceAudit(addresses, flushed, epochs, report, progress).run(clickhouse, log, since)
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


class _SourceAudit:
    def __init__(
        self,
        addresses: Addresses,
        flushed: Flushed,
        epochs: Sequence[RulesEpoch],
        report: SourceReport,
        progress: Progress,
    ) -> None:
        self.flushed = flushed
        self.epochs = epochs
        self.report = report
        self.progress = progress
        self.action = dict(addresses.topics)[flushed.topic]
        self.ledger = {(row.epoch, *row.key): row for row in current_rows(flushed, epochs)}
        self.places = [*counted_elsewhere(flushed, epochs), *_ledger_places(flushed, epochs)]
        self.cuts = cuts(flushed)
        self.covered = epochs[0].start

    def run(self, clickhouse: ClickHouse, log: Log, since: int) -> None:
        with ExitStack() as stack:
            self.tables: list[tuple[Table, CellsBySlice]] = []
            highest = 0
            for number, aggregate in enumerate(AGGREGATES):
                cells = stack.enter_context(read_cells(clickhouse, aggregate, self.flushed.id))
                highest = max(highest, max((row.position for row in cells), default=0))
                table = Table(aggregate, number, _oldest_ms(clickhouse, aggregate.table) // 1000)
                self.tables.append((table, CellsBySlice(cells)))
            letters = stack.enter_context(read_dead_letters(clickhouse, self.flushed))
            self.oldest_letter = _oldest_ms(clickhouse, "dead_letters")
            partition = self._partition(log)
            self.report.log_end = partition.end
            furthest = max((row.position for row in self.flushed.ledger), default=self.epochs[0].start)
            if furthest > partition.end:
                raise CannotTell(
                    f"{self.flushed}: the log ends at {partition.end}, the ledger at {furthest}: the log was truncated",
                    "Restore the topic, or run `pintally accept-loss` to take back the counts of what is gone.",
                )
            target = max(furthest, min(highest, partition.end))
            self.letters = LettersByOffset(letters)
            wanted = self._wanted(since)
            for epoch in self.epochs:
                self._epoch(log, epoch, partition, wanted, epoch.end if epoch.end is not None else target)
            self._leftovers(partition)

    def _partition(self, log: Log) -> Partition:
        flushed = self.flushed
        latest = flushed.replaced[-1:]
        known = known_ids(latest)
        for partition in log.partitions([flushed.topic], known):
            if partition.partition == flushed.partition:
                if partition.topic_id == flushed.topic_id:
                    return partition
                raise CannotTell(
                    f"{flushed}: Kafka's topic is not the one that was counted, of UUID "
                    f"{latest[0].topic_id if latest else flushed.topic_id}",
                    "It is in another cluster, or was deleted and created again. `pintally replace-topic` continues in "
                    "this topic; `pintally accept-loss` retires the counted one.",
                )
        raise CannotTell(
            f"{flushed}: Kafka does not know it",
            "Check PINTALLY_KAFKA_BOOTSTRAP_SERVERS and PINTALLY_TOPIC_PREFIX.",
        )

    def _wanted(self, since: int) -> int:
        """Returns the first offset to check."""
        rows = sorted(self.flushed.ledger, key=lambda row: row.start)
        recent = [row.start for row in rows if row.arrived_at >= since]
        return self.epochs[0].start if not rows else (recent or [rows[-1].start])[0]

    def _epoch(self, log: Log, epoch: RulesEpoch, partition: Partition, wanted: int, end: int) -> None:
        if end <= max(wanted, epoch.start):
            return
        start = max(wanted, epoch.start)
        since = max((cut for cut in self.cuts if cut <= epoch.start), default=0)
        places = [place for place in self.places if place.offset >= since]
        place = beginning(places, partition.start, epoch.rules.slice_records, start, end)
        unread = start if place is None else place.first.offset
        if place is None or place.first.offset > start:
            last = end if place is None else place.first.offset
            given_up = any(last <= cut for cut in self.cuts)  # an operator accepted the loss up to there
            (self.report.lost if given_up else self.report.unverifiable).append(
                f"{self.flushed}: offsets {start} to {last} cannot be recounted, Kafka has deleted the records before"
                f" {partition.start}"
            )
        if place is None:
            return
        if self.report.checked_from is None:
            self.report.checked_from = unread
        self._recount(log, epoch, place.collect, place.first, end)

    def _recount(self, log: Log, epoch: RulesEpoch, collect: SliceStart, first: SliceStart, end: int) -> None:
        judge = Judge(str(self.flushed), epoch.number, epoch.rules)
        recount = Recount(ACTIONS[self.action], epoch.rules, collect, first.offset)
        fresh = True
        for slice_ in _slices(log, self.flushed, recount, end, self.progress):
            if fresh:
                self._at_first(judge, epoch, slice_)
                fresh = False
            slice_.complete = slice_.complete or slice_.end == epoch.end
            self._compare(judge, slice_)
            self.places.append(SliceStart(slice_.start, slice_.start_stream_time))
        self.covered = recount.position
        if epoch.end is not None and epoch.end not in self.cuts:
            self.places.append(SliceStart(epoch.end, recount.stream_time))
        self.places = sorted({place.offset: place for place in self.places}.values(), key=lambda place: place.offset)

    def _at_first(self, judge: Judge, epoch: RulesEpoch, slice_: Slice) -> None:
        if slice_.start > self.covered:
            for _, rows in self.tables:
                rows.skip_before(slice_.key)
        if slice_.start == epoch.start and slice_.start_stream_time != epoch.start_stream_time:
            about = Finding(
                Kind.START_DIFFERS, judge.source, epoch.start_stream_time, slice_.start_stream_time, "start_stream_time"
            )
            self.report.findings.add(replace(about, start=epoch.start, end=epoch.start))
        self.letters.skip_before(slice_.start)

    def _compare(self, judge: Judge, slice_: Slice) -> None:
        report, found = self.report, self.report.findings
        row = self.ledger.pop((judge.epoch, *slice_.key), None)
        position = 0 if row is None else min(max(row.position, slice_.start), slice_.end)
        letters = self.letters.before(slice_.end)
        for table, groups in self.tables:
            for orphan in groups.before(slice_.key):
                found.add(self._orphan(judge, table, orphan))
            rows = groups.of(slice_.key)
            is_counted = row is not None and table.aggregate.table in row.check_sums
            self._add(judge.cells(table, slice_, rows, position if is_counted else 0))
            report.cells += len(rows) if row is not None else 0
        self._add(judge.dead_letters(slice_, letters, position, self.oldest_letter))
        if row is None:
            return
        self._add(judge.ledger(slice_, row))
        report.slices += 1
        for name, count in zip(State._fields[1:], slice_.at(position)[1:], strict=True):
            report.outcomes[name] += count

    def _leftovers(self, partition: Partition) -> None:
        """Report rows and dead letters that belong to no slice of the log."""
        last = self.epochs[-1]
        judge = Judge(str(self.flushed), last.number, last.rules)
        if self.report.checked_from is None:
            return
        for table, groups in self.tables:
            for orphan in groups.rest():
                self.report.findings.add(self._orphan(judge, table, orphan))
        for row in self.ledger.values():
            if row.start >= self.report.checked_from:
                about = Finding(Kind.LEDGER_EXTRA, judge.source, row.counted, None, "slice not in the log")
                self.report.findings.add(
                    replace(about, slice=f"{row.slice_block}/{row.arrived_at}", start=row.start, end=row.position)
                )
        for letter in self.letters.before(1 << 63):
            if letter.offset >= partition.end:
                about = Finding(Kind.DEAD_LETTER_EXTRA, judge.source, letter.outcome, None)
                self.report.findings.add(replace(about, start=letter.offset, end=letter.offset + 1))

    @staticmethod
    def _orphan(judge: Judge, table: Table, row: CellRow) -> Finding:
        """A row of a slice that the log does not have, or not under these rules."""
        return judge.superseded(table, row) if row.epoch < judge.epoch else judge.extra(table, row)

    def _add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.report.findings.add(finding)


def _ledger_places(flushed: Flushed, epochs: Sequence[RulesEpoch]) -> list[SliceStart]:
    known = {row.start: SliceStart(row.start, row.start_stream_time) for row in current_rows(flushed, epochs)}
    known |= {epoch.start: SliceStart(epoch.start, epoch.start_stream_time) for epoch in epochs}
    return [known[offset] for offset in sorted(known) if offset >= epochs[0].start]


def _slices(log: Log, flushed: Flushed, recount: Recount, end: int, progress: Progress) -> Iterator[Slice]:
    if recount.position < end:
        for piece in log.read(flushed.topic, flushed.partition, recount.position):
            before = recount.position
            yield from recount.feed(piece, end)
            progress(recount.position - before)
            if recount.position >= end:
                break
    yield from recount.finish()


def _oldest_ms(clickhouse: ClickHouse, table: str) -> int:
    days = kept_days(clickhouse, table)
    return 0 if days is None else server_time(clickhouse) * 1000 - (days - SPARE_DAYS) * DAY_MS
