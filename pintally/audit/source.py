"""Audits one source: reads its rows and its log, recounts, compares."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from pintally.audit.addresses import Addresses
from pintally.audit.chain import Reign, cuts, follow, held, in_force, ruled_by, void_ledger_rows
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.compare import Judge
from pintally.audit.contract import ACTIONS
from pintally.audit.emitted import CellRow, DeadLetter, Emitted, LostRow
from pintally.audit.errors import CannotTell, CannotTellNow
from pintally.audit.findings import Finding, Findings, Kind
from pintally.audit.log import Log, Partition
from pintally.audit.places import beginning, counted_elsewhere
from pintally.audit.recount import Place, Recount, Slice, State
from pintally.audit.tables import clock, kept_days, known_ids, read_cells, read_dead_letters, read_starts

DAY_MS = 86_400_000
SPARE_DAYS = 1  # rows that vanish with age are not missed a day before
Progress = Callable[[int], None]  # told how many more offsets were recounted


@dataclass(slots=True)
class SourceReport:
    """What the audit of one source came to. `unverifiable` says why parts, or all, could not be checked."""

    source: str
    slices: int = 0
    fates: dict[str, int] = field(default_factory=lambda: dict.fromkeys(State._fields[1:], 0))
    cells: int = 0
    checked_from: int | None = None
    position: int = 0  # how far all is emitted
    log_end: int | None = None
    findings: Findings = field(default_factory=Findings)
    unverifiable: list[str] = field(default_factory=list)
    passing: list[str] = field(default_factory=list)  # those of `unverifiable` that go away by themselves
    lost: list[str] = field(default_factory=list)  # what an operator gave up, and what cannot be recounted for it

    @property
    def lag(self) -> int | None:
        """Offsets that the log holds and the ledger does not cover."""
        return None if self.log_end is None else max(0, self.log_end - self.position)


def audit_source(addresses: Addresses, emitted: Emitted, since: int, progress: Progress) -> SourceReport:
    """Recount and compare one source; slices that arrived before `since` (seconds since 1970) are left out."""
    report = SourceReport(str(emitted))
    try:
        ruled = ruled_by(emitted)
        given_up = [row for row in in_force(emitted) if not (emitted.replaced and row.start == row.end)]
        report.lost += [_in_words(emitted, row) for row in given_up]
        report.position, gaps = follow(emitted, ruled)
        for finding in (*void_ledger_rows(emitted, ruled), *gaps):
            report.findings.add(finding)
        if emitted.is_over:
            report.unverifiable += _not_recounted(emitted, ruled, since, report.position)
            return report
        with ClickHouse(addresses) as clickhouse, Log(addresses) as log:
            _SourceAudit(addresses, emitted, ruled, report, progress).run(clickhouse, log, since)
            if read_starts(clickhouse, emitted.id) != emitted.starts:
                raise CannotTellNow(f"{emitted}: its rules were changed meanwhile", "Run verify again.")
    except CannotTell as reason:
        passes = isinstance(reason, CannotTellNow)
        report.unverifiable.append(str(reason))
        report.passing += [str(reason)] if passes else []
    return report


LOST = {
    "trimmed": "gone from the log before they were counted",
    "truncated": "counted, lost by the log, and their counts taken back",
    "retired": "their topic was deleted, what was counted stays",
    "recounted": "gone from the log when the rest was counted anew",
    "damaged": "counted, their rows damaged, and gone from the log",
}


def _not_recounted(emitted: Emitted, ruled: Sequence[Reign], since: int, position: int) -> Iterator[str]:
    """What is said of a source whose log is over: whether its counts are true nobody can tell any more."""
    rows = held(emitted, ruled)
    if any(row.arrived >= since for row in rows):
        why = "another topic took its place" if emitted.replaced else "its topic was given up"
        yield (
            f"{emitted} of UUID {emitted.topic_id}: {sum(row.counted for row in rows):,} events of the offsets"
            f" {ruled[0].start} to {position} cannot be recounted: {why}\n  --since-hours leaves them out."
        )


def _in_words(emitted: Emitted, row: LostRow) -> str:
    note = f" ({row.note})" if row.note else ""
    return f"{emitted}: offsets {row.start} to {row.end}: {LOST[row.kind]}{note}"


class _SourceAudit:
    def __init__(
        self,
        addresses: Addresses,
        emitted: Emitted,
        ruled: Sequence[Reign],
        report: SourceReport,
        progress: Progress,
    ) -> None:
        self.emitted = emitted
        self.ruled = ruled
        self.report = report
        self.progress = progress
        self.action = dict(addresses.topics)[emitted.topic]
        self.ledger = {(row.generation, *row.key): row for row in held(emitted, ruled)}
        self.places = [*counted_elsewhere(emitted, ruled), *_ledger_places(emitted, ruled)]
        self.cuts = cuts(emitted)
        self.covered = ruled[0].start

    def run(self, clickhouse: ClickHouse, log: Log, since: int) -> None:
        with (
            read_cells(clickhouse, self.emitted.id) as cells,
            read_dead_letters(clickhouse, self.emitted) as letters,
        ):
            self.oldest_cell = _oldest_ms(clickhouse, "pin_minutes")
            self.oldest_letter = _oldest_ms(clickhouse, "dead_letters")
            highest = max((row.position for row in cells), default=0)
            partition = self._partition(log)
            self.report.log_end = partition.end
            furthest = max((row.position for row in self.emitted.ledger), default=self.ruled[0].start)
            if furthest > partition.end:
                raise CannotTell(
                    f"{self.emitted}: the log ends at {partition.end}, the ledger at {furthest}: the log was truncated",
                    "Restore the topic, or run `pintally accept-loss` to take back the counts of what is gone.",
                )
            target = max(furthest, min(highest, partition.end))
            self.rows = _Groups(cells)
            self.letters = _Letters(letters)
            wanted = self._wanted(since)
            for reign in self.ruled:
                self._reign(log, reign, partition, wanted, reign.end if reign.end is not None else target)
            self._leftovers(partition)

    def _partition(self, log: Log) -> Partition:
        emitted = self.emitted
        latest = emitted.replaced[-1:]
        known = known_ids(latest)
        for partition in log.partitions([emitted.topic], known):
            if partition.partition == emitted.partition:
                if partition.topic_id == emitted.topic_id:
                    return partition
                raise CannotTell(
                    f"{emitted}: Kafka's topic is not the one that was counted, of UUID "
                    f"{latest[0].topic_id if latest else emitted.topic_id}",
                    "It is in another cluster, or was deleted and created anew: `pintally replace-topic` has this one "
                    "take its place, `pintally accept-loss` gives the first one up.",
                )
        raise CannotTell(f"{emitted}: Kafka does not know it", "Check PINTALLY_KAFKA and PINTALLY_TOPIC_PREFIX.")

    def _wanted(self, since: int) -> int:
        """The first offset the caller asks for."""
        rows = sorted(self.emitted.ledger, key=lambda row: row.start)
        recent = [row.start for row in rows if row.arrived >= since]
        return self.ruled[0].start if not rows else (recent or [rows[-1].start])[0]

    def _reign(self, log: Log, reign: Reign, partition: Partition, wanted: int, end: int) -> None:
        if end <= max(wanted, reign.start):
            return
        start = max(wanted, reign.start)
        since = max((cut for cut in self.cuts if cut <= reign.start), default=0)
        places = [place for place in self.places if place.offset >= since]
        place = beginning(places, partition.start, reign.rules.slice_records, start, end)
        unread = start if place is None else place.first.offset
        if place is None or place.first.offset > start:
            last = end if place is None else place.first.offset
            given_up = any(last <= cut for cut in self.cuts)  # an operator knows that the log is gone up to there
            (self.report.lost if given_up else self.report.unverifiable).append(
                f"{self.emitted}: offsets {start} to {last} cannot be recounted, Kafka has deleted what lies before"
                f" {partition.start}"
            )
        if place is None:
            return
        if self.report.checked_from is None:
            self.report.checked_from = unread
        self._recount(log, reign, place.collect, place.first, end)

    def _recount(self, log: Log, reign: Reign, collect: Place, first: Place, end: int) -> None:
        judge = Judge(
            str(self.emitted),
            self.action,
            ACTIONS[self.action],
            reign.generation,
            reign.rules,
            self.oldest_cell // 1000,
        )
        recount = Recount(ACTIONS[self.action], reign.rules, collect, first.offset)
        fresh = True
        for slice_ in _slices(log, self.emitted, recount, end, self.progress):
            if fresh:
                self._at_first(judge, reign, slice_)
                fresh = False
            slice_.complete = slice_.complete or slice_.end == reign.end
            self._compare(judge, slice_)
            self.places.append(Place(slice_.start, slice_.start_clock))
        self.covered = recount.position
        if reign.end is not None and reign.end not in self.cuts:
            self.places.append(Place(reign.end, recount.clock))
        self.places = sorted({place.offset: place for place in self.places}.values(), key=lambda place: place.offset)

    def _at_first(self, judge: Judge, reign: Reign, slice_: Slice) -> None:
        if slice_.start > self.covered:
            self.rows.skip_before(slice_.key)
        if slice_.start == reign.start and slice_.start_clock != reign.start_clock:
            about = Finding(Kind.START_DIFFERS, judge.source, reign.start_clock, slice_.start_clock, "start_clock")
            self.report.findings.add(replace(about, start=reign.start, end=reign.start))
        self.letters.skip_before(slice_.start)

    def _compare(self, judge: Judge, slice_: Slice) -> None:
        report, found = self.report, self.report.findings
        row = self.ledger.pop((judge.generation, *slice_.key), None)
        position = 0 if row is None else min(max(row.position, slice_.start), slice_.end)
        for stray in self.rows.before(slice_.key):
            found.add(judge.void(stray) if stray.generation < judge.generation else judge.extra(stray))
        rows = self.rows.of(slice_.key)
        letters = self.letters.before(slice_.end)
        self._add(judge.cells(slice_, rows, position))
        self._add(judge.dead_letters(slice_, letters, position, self.oldest_letter))
        if row is None:
            return
        self._add(judge.ledger(slice_, row))
        report.slices += 1
        report.cells += len(rows)
        for name, count in zip(State._fields[1:], slice_.at(position)[1:], strict=True):
            report.fates[name] += count

    def _leftovers(self, partition: Partition) -> None:
        """What no slice of the log claims."""
        last = self.ruled[-1]
        judge = Judge(str(self.emitted), self.action, ACTIONS[self.action], last.generation, last.rules, 0)
        if self.report.checked_from is None:
            return
        for stray in self.rows.rest():
            self.report.findings.add(judge.void(stray) if stray.generation < last.generation else judge.extra(stray))
        for row in self.ledger.values():
            if row.start >= self.report.checked_from:
                about = Finding(Kind.LEDGER_EXTRA, judge.source, row.counted, None, "slice not in the log")
                self.report.findings.add(
                    replace(about, slice=f"{row.block}/{row.arrived}", start=row.start, end=row.position)
                )
        for letter in self.letters.before(1 << 63):
            if letter.offset >= partition.end:
                about = Finding(Kind.DEAD_LETTER_EXTRA, judge.source, letter.fate, None)
                self.report.findings.add(replace(about, start=letter.offset, end=letter.offset + 1))

    def _add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.report.findings.add(finding)


def _ledger_places(emitted: Emitted, ruled: Sequence[Reign]) -> list[Place]:
    known = {row.start: Place(row.start, row.start_clock) for row in held(emitted, ruled)}
    known |= {reign.start: Place(reign.start, reign.start_clock) for reign in ruled}
    return [known[offset] for offset in sorted(known) if offset >= ruled[0].start]


def _slices(log: Log, emitted: Emitted, recount: Recount, end: int, progress: Progress) -> Iterator[Slice]:
    if recount.position < end:
        for piece in log.read(emitted.topic, emitted.partition, recount.position):
            before = recount.position
            yield from recount.feed(piece, end)
            progress(recount.position - before)
            if recount.position >= end:
                break
    yield from recount.finish()


def _oldest_ms(clickhouse: ClickHouse, table: str) -> int:
    days = kept_days(clickhouse, table)
    return 0 if days is None else clock(clickhouse) * 1000 - (days - SPARE_DAYS) * DAY_MS


class _Groups:
    """Cells slice by slice, in the order of the log."""

    def __init__(self, rows: Iterable[CellRow]) -> None:
        self._groups = groupby(rows, key=lambda row: (row.block, row.arrived))
        self._next: tuple[tuple[int, int], list[CellRow]] | None = None
        self._advance()

    def _advance(self) -> None:
        found = next(self._groups, None)
        self._next = None if found is None else (found[0], list(found[1]))

    def before(self, key: tuple[int, int]) -> Iterator[CellRow]:
        """Rows of earlier slices that nobody asked for."""
        while self._next is not None and self._next[0] < key:
            yield from self._next[1]
            self._advance()

    def skip_before(self, key: tuple[int, int]) -> None:
        """Forget the rows of earlier slices."""
        for _ in self.before(key):
            pass

    def of(self, key: tuple[int, int]) -> Sequence[CellRow]:
        """Rows of this slice."""
        if self._next is None or self._next[0] != key:
            return ()
        rows = self._next[1]
        self._advance()
        return rows

    def rest(self) -> Iterator[CellRow]:
        """All rows that are left."""
        while self._next is not None:
            yield from self._next[1]
            self._advance()


class _Letters:
    """Dead letters in the order of the log."""

    def __init__(self, letters: Iterable[DeadLetter]) -> None:
        self._letters = iter(letters)
        self._next = next(self._letters, None)

    def before(self, offset: int) -> list[DeadLetter]:
        """The letters below `offset` that were not asked for yet."""
        found = []
        while self._next is not None and self._next.offset < offset:
            found.append(self._next)
            self._next = next(self._letters, None)
        return found

    def skip_before(self, offset: int) -> None:
        """Forget the letters below `offset`."""
        self.before(offset)
