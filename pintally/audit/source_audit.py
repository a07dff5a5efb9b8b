"""Recounts the slices of one source and compares each with its rows."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.audit.addresses import Addresses
from pintally.audit.aggregates import AGGREGATES, cell_rows
from pintally.audit.chain import RulesEpoch, current_rows, cuts
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.compare import Judge, Table
from pintally.audit.contract import ACTIONS
from pintally.audit.errors import CannotTell
from pintally.audit.findings import Finding, Findings, Kind
from pintally.audit.flushed import POSITION_MASK, Flushed, LedgerRow
from pintally.audit.in_log_order import CellsBySlice, LettersByOffset
from pintally.audit.kept import read_kept
from pintally.audit.log import Log, Partition
from pintally.audit.names import Names
from pintally.audit.places import Beginning, beginning, places_of, usable
from pintally.audit.recount import Progress, Recount, SliceStart, recounted
from pintally.audit.shards import on_shard
from pintally.audit.slices import Slice, State
from pintally.audit.tables import (
    Chosen,
    known_ids,
    letters_of,
    read_cells,
    read_dead_letters,
    read_labels,
)


@dataclass(slots=True)
class SourceReport:
    """The result of the audit of one source. `unverifiable` says why parts, or all, could not be checked."""

    source: str
    slices: int = 0  # recounted
    known: int = 0  # that the ledger has
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


class SourceAudit:
    """Recounts all slices of a source from `since` (seconds since 1970) on. SampledAudit recounts some of them."""

    chosen: Chosen | None = None  # slices whose rows are read; None: all

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
        self.addresses = addresses
        self.user_keys = addresses.user_keys
        self.action = dict(addresses.topics)[flushed.topic]
        self.ledger = {(row.epoch, *row.key): row for row in current_rows(flushed, epochs)}
        self.places = places_of(flushed, epochs)
        self.cuts = cuts(flushed)
        self.covered = epochs[0].start

    def run(self, clickhouse: ClickHouse, log: Log, since: int) -> None:
        """Fill the report. Raises CannotTell."""
        with ExitStack() as stack:
            highest = self._read_rows(clickhouse, stack)
            partition = self._partition(log)
            self.report.log_end = partition.end
            furthest = max((row.position for row in self.flushed.ledger), default=self.epochs[0].start)
            if furthest > partition.end:
                raise CannotTell(
                    f"{self.flushed}: the log ends at {partition.end}, the ledger at {furthest}: the log was truncated",
                    "Restore the topic, or run `pintally accept-loss` to take back the counts of what is gone.",
                )
            self.since = since
            self.names = Names(partial(read_labels, clickhouse, self.flushed.id))
            self._recount_all(log, partition, max(furthest, min(highest, partition.end)))

    def _read_rows(self, clickhouse: ClickHouse, stack: ExitStack) -> int:
        """Read cells and dead letters; returns the furthest position of a cell."""
        self.tables: list[tuple[Table, CellsBySlice]] = []
        highest, kept = 0, read_kept(clickhouse, "dead_letters", *(aggregate.table for aggregate in AGGREGATES))
        for number, aggregate in enumerate(AGGREGATES):
            cells = stack.enter_context(read_cells(clickhouse, aggregate, self.flushed.id, self.chosen))
            highest = max(highest, max((_highest(rows) for rows in cells), default=0))
            table = Table(aggregate, number, kept.since(aggregate.table))
            self.tables.append((table, CellsBySlice(cells)))
        letters = stack.enter_context(read_dead_letters(clickhouse, self.flushed, self.chosen))
        self.oldest_letter = kept.since("dead_letters") * 1000
        self.letters = LettersByOffset(letters_of(letters))
        return highest

    def _recount_all(self, log: Log, partition: Partition, target: int) -> None:
        wanted = self._wanted(self.since)
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
        places = usable(self.places, self.flushed, epoch)
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
        self._recount(log, epoch, partition, place, end)

    def _recount(self, log: Log, epoch: RulesEpoch, partition: Partition, place: Beginning, end: int) -> None:
        judge = self._judge(epoch)
        recount = Recount(ACTIONS[self.action], epoch.rules, place.collect, place.first.offset, self.user_keys)
        fresh = True
        for slice_ in recounted(log, partition, recount, end, self.progress):
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

    def _judge(self, epoch: RulesEpoch) -> Judge:
        return Judge(str(self.flushed), epoch.number, epoch.rules, self.names)

    def _at_first(self, judge: Judge, epoch: RulesEpoch, slice_: Slice) -> None:
        if slice_.start > self.covered:
            for _, rows in self.tables:
                rows.skip_before(slice_.key)
        if slice_.start == epoch.start:
            self._check_start(judge, epoch, slice_)
        self.letters.skip_before(slice_.start)

    def _check_start(self, judge: Judge, epoch: RulesEpoch, slice_: Slice) -> None:
        if slice_.start_stream_time != epoch.start_stream_time:
            about = Finding(
                Kind.START_DIFFERS, judge.source, epoch.start_stream_time, slice_.start_stream_time, "start_stream_time"
            )
            self.report.findings.add(replace(about, start=epoch.start, end=epoch.start))

    def _compare(self, judge: Judge, whole: Slice) -> None:
        report, slice_ = self.report, on_shard(whole, self.addresses)
        row = self.ledger.pop((judge.epoch, *slice_.key), None)
        position = 0 if row is None else min(max(row.position, slice_.start), slice_.end)
        letters = self.letters.before(slice_.end)
        for table, groups in self.tables:
            for orphans in groups.before(slice_.key):
                self._add(self._orphans(judge, table, orphans))
            rows = groups.of(slice_.key)
            rows = np.empty(0, table.aggregate.layout) if rows is None else rows
            is_counted = row is not None and table.aggregate.table in row.check_sums
            self._add(judge.cells(table, slice_, rows, position if is_counted else 0))
            report.cells += len(rows) if row is not None else 0
        self._add(judge.dead_letters(slice_, letters, position, self.oldest_letter))
        if row is None:
            return
        self._add(judge.ledger(whole, row))
        report.slices += 1
        for name, count in zip(State._fields[1:], slice_.at(position)[1:], strict=True):
            report.outcomes[name] += count

    def _leftovers(self, partition: Partition) -> None:
        """Report rows and dead letters that belong to no slice of the log."""
        judge = self._judge(self.epochs[-1])
        if self.report.checked_from is None:
            return
        for table, groups in self.tables:
            for orphans in groups.rest():
                self._add(self._orphans(judge, table, orphans))
        for row in self.ledger.values():
            if row.start >= self.report.checked_from:
                self.report.findings.add(extra_row(judge, row))
        for letter in self.letters.before(1 << 63):
            if letter.offset >= partition.end:
                about = Finding(Kind.DEAD_LETTER_EXTRA, judge.source, letter.outcome, None)
                self.report.findings.add(replace(about, start=letter.offset, end=letter.offset + 1))

    @staticmethod
    def _orphans(judge: Judge, table: Table, rows: NDArray[Any]) -> Iterator[Finding]:
        """Rows of a slice that the log does not have, or not under these rules."""
        for row in cell_rows(table.aggregate, rows):
            yield judge.superseded(table, row) if row.epoch < judge.epoch else judge.extra(table, row)

    def _add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.report.findings.add(finding)


def extra_row(judge: Judge, row: LedgerRow) -> Finding:
    """Returns the finding for a ledger row of a slice that the log does not have."""
    about = Finding(Kind.LEDGER_EXTRA, judge.source, row.counted, None, "slice not in the log")
    return replace(about, slice=f"{row.slice_block}/{row.arrived_at}", start=row.start, end=row.position)


def _highest(rows: NDArray[Any]) -> int:
    """Returns the furthest position in the versions of some rows."""
    return int((rows["version"] & np.uint64(POSITION_MASK)).max(initial=0))
