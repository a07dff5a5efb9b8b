"""`repair` (rule 20): finds slices whose rows are not what the log says, folds them again and writes what they must be.

Workers go on meanwhile. What decides is the log, as it is now, and the rules that the ledger names for the slice.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from schemas.rows import GENERATION_SHIFT, LedgerRow, LostKind
from schemas.sources import Source
from sinks.base import SinkSession, SliceSum, SourceLedger
from streams.fold import LogChanged
from streams.mend_slice import DAY, KEPT_SECONDS, Mended, mend
from streams.read_log import read_chunks
from streams.recovery import effective, follow, is_retired
from streams.refold import Folded, Place, Stretch
from streams.segments import Segment, Shape, base_of_segment, held, segments
from streams.settings import Settings
from streams.survey import Survey
from streams.topics import Offsets, read_offsets

ROUNDS = 5  # holes of one source; each may show the next one
FAR = 4  # slices: whoever is further behind than this catches up before its strays are looked for
Name = tuple[int, int]  # block, arrived


@dataclass(frozen=True, slots=True)
class Choice:
    """Which slices to fold: those that SQL finds wrong, and what is named here."""

    every: bool = False
    sources: frozenset[str] = frozenset()  # topic[partition]: all of their slices
    slices: frozenset[tuple[str, Name]] = frozenset()
    only_named: bool = False  # SQL is not asked for more

    def names(self, source: Source, segment: Segment) -> bool:
        """Whether a segment was asked for by name."""
        name = str(source)
        return self.every or name in self.sources or (segment.name is not None and (name, segment.name) in self.slices)

    def touches(self, source: Source) -> bool:
        """Whether anything of a source was asked for by name."""
        return self.every or str(source) in self.sources or any(name == str(source) for name, _ in self.slices)


@dataclass(slots=True)
class Repair:
    """What was done, and what could not be."""

    folded: int = 0  # slices
    mended: list[Mended] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)  # rows of slices that the log does not have
    gone: list[str] = field(default_factory=list)  # the log no longer holds them
    waiting: list[str] = field(default_factory=list)  # a worker must come first

    @property
    def exit_code(self) -> int:
        """0 done, 2 if something is left that could not be mended."""
        return 2 if self.gone or self.waiting else 0


def repair(
    settings: Settings,
    session: SinkSession,
    found: Survey,
    choice: Choice,
    tell: Callable[[str], None] = lambda _: None,
) -> Repair:
    """Mend all sources that Kafka lists.

    1. Void rows are deleted.
    2. Holes in the ledger are folded again, one after the other, until the slices join.
    3. Slices whose cells or dead letters do not add up to their ledger row, and those that were chosen, are folded
       again and written (see `streams.mend_slice`).
    4. Cells of slices that the log does not have are deleted.
    5. Sealed hours that do not add up are opened; the next sealing closes them.

    Safe to interrupt and to run again. Raises KafkaUnavailable, SinkUnavailable and SinkError.
    """
    done = Repair()
    session.delete_void()
    for source, offsets in found.offsets.items():
        if found.ledgers[source].starts and (not choice.only_named or choice.touches(source)):
            tell(str(source))
            _Source(settings, session, source, offsets, choice, done).run()
    for source, ledger in found.started.items():
        if source not in found.offsets and not is_retired(ledger) and choice.touches(source):
            done.gone.append(f"{source} of UUID {source.topic_id}: Kafka does not have this topic any more")
    session.reopen_unequal()
    done.gone = list(dict.fromkeys(done.gone))
    return done


class _Source:
    """The repair of one source."""

    def __init__(
        self,
        settings: Settings,
        session: SinkSession,
        source: Source,
        offsets: Offsets,
        choice: Choice,
        done: Repair,
    ) -> None:
        self.settings = settings
        self.session = session
        self.source = source
        self.offsets = offsets
        self.choice = choice
        self.done = done
        self.now = int(time.time())
        self.letters_from = self.now - (settings.dead_letter_days - 1) * DAY

    def run(self) -> None:
        """Holes first: only slices that join can be judged."""
        before: list[Segment] = []
        for _ in range(ROUNDS):
            holes = [segment for segment in self._segments() if segment.shape is Shape.HOLE]
            if not holes or holes == before:
                break
            for hole in holes:
                self._guarded(hole, self._fill)
            before = holes
        self._judge()
        self._remove_strays()

    def _segments(self) -> list[Segment]:
        self.ledger: SourceLedger = self.session.read_ledgers([self.source])[self.source]
        return segments(self.ledger)

    def _judge(self) -> None:
        """Fold what is chosen, and what does not add up."""
        found = self._segments()
        sums = self.session.slice_sums(self.source)
        late, dead = self.session.letter_offsets(self.source)
        wrong = [
            segment
            for segment in found
            if segment.shape in (Shape.COMPLETE, Shape.UNFINISHED)
            and (self.choice.names(self.source, segment) or self._adds_up_wrong(segment, sums, late, dead))
        ]
        for run in runs([segment for segment in wrong if self._is_there(segment)]):
            self._guarded(run[0], partial(self._rewrite, run))

    def _adds_up_wrong(
        self, segment: Segment, sums: Mapping[Name, SliceSum], late: NDArray[np.int64], dead: NDArray[np.int64]
    ) -> bool:
        """What SQL alone can see. Rows of an unfinished slice may be ahead of its ledger row, never behind."""
        row = segment.row
        if row is None or self.choice.only_named:
            return False
        cells = sums.get((row.block, row.arrived))
        events = cells.events if cells else 0
        fates = (row.fates.late, row.fates.dead)
        letters = tuple(int(np.subtract(*at.searchsorted([row.position, row.start]))) for at in (late, dead))
        old = is_old(segment, self.now)
        if row.arrived > self.letters_from + DAY and letters != fates:
            return True
        if segment.shape is Shape.UNFINISHED:
            return events < row.cells_sum
        wrong = row.cells_sum != row.fates.counted or row.fates.total != row.position - row.start
        return wrong or (not old and events != row.cells_sum)

    def _rewrite(self, run: Sequence[Segment], _: Segment) -> None:
        """Slices that follow one another, in one reading."""
        known = {segment.start.offset: segment for segment in run}
        stretch = self._stretch(run[0], run[-1].end)
        for folded in self._fold(stretch):
            segment = known.get(folded.row.start)
            if segment is None or segment.name != folded.name or folded.row.position != segment.end:
                self.done.waiting.append(
                    f"{self.source} offsets {folded.row.start} to {folded.row.position}: the ledger cuts slices there "
                    "that the log does not have"
                )
                continue
            self._mend(folded, segment.row, complete=segment.shape is Shape.COMPLETE)

    def _fill(self, hole: Segment) -> None:
        """Fold on from a hole until a slice ends where a row of the ledger begins; rows in between are not true."""
        rows = [row for row in held(self.ledger) if row.generation == hole.begin.generation]
        rows = [row for row in rows if row.start >= hole.start.offset]
        border = max([hole.end, *(row.start for row in rows)])
        true: list[Folded] = []
        joined = None
        for folded in self._fold(self._stretch(hole, border)):
            true.append(folded)
            if _joins(folded, rows, hole):
                joined = folded.row.position
                break
        if joined is None:  # the last one is open: a worker that begins at its start folds it
            true, joined = true[:-1], border + 1
        names = {folded.name for folded in true}
        inside = {(row.block, row.arrived): row for row in rows if row.start < joined}
        self.session.delete_ledger([row for name, row in inside.items() if name not in names])
        for folded in true:
            self._mend(folded, inside.get(folded.name), complete=True)

    def _remove_strays(self) -> None:
        """Cells of slices that the log does not have: nobody will ever write over them.

        Where the log is not there to say so, they stay: below a hole, and where a slice was cut short.
        """
        sums = self.session.slice_sums(self.source)
        if any(segment.shape in (Shape.HOLE, Shape.GIVEN_UP) for segment in self._segments()):
            return
        known = {(row.block, row.arrived) for row in self.ledger.rows}
        cut = max((row.generation for row in effective(self.ledger) if row.kind is LostKind.TRIMMED), default=0)
        strays = {name for name in sums.keys() - known if sums[name].version >> GENERATION_SHIFT >= cut}
        if strays and max(strays) > max(known, default=(-1, -1)):
            strays -= self._begun(strays)
        for block, arrived in sorted(strays):
            self.session.delete_cells(self.source, block, arrived)
            self.done.removed.append(f"{self.source} slice {block}/{arrived}: {sums[block, arrived].events} events")

    def _begun(self, strays: set[Name]) -> set[Name]:
        """Slices that a worker may have begun, by the log up to its end; all of `strays` if that is too far."""
        chain = follow(self.ledger)
        end = read_offsets(self.settings, [self.source])[self.source].last_stable
        tail = Segment(Shape.UNFINISHED, chain.boundary, Place(chain.start, chain.start_clock), end, chain.unfinished)
        names: set[Name] = set()
        if end - chain.start > FAR * chain.rules.slice_records:
            self.done.waiting.append(f"{self.source}: too far behind to tell strays from slices to come")
            return strays

        def fold(_: Segment) -> None:
            names.update(folded.name for folded in self._fold(self._stretch(tail, end)))

        return names if self._guarded(tail, fold) else strays

    def _mend(self, folded: Folded, known: LedgerRow | None, *, complete: bool) -> None:
        mended = mend(self.session, folded, known, complete=complete, now=self.now, letters_from=self.letters_from)
        if mended:
            self.done.mended.append(mended)

    def _stretch(self, segment: Segment, end: int) -> Stretch:
        base = base_of_segment(segment, self.ledger)
        action = self.settings.source_topics[self.source.topic]
        return Stretch(self.source, action, segment.begin.generation, segment.rules, base, end)

    def _fold(self, stretch: Stretch) -> Iterator[Folded]:
        """Slice by slice; the log is read on as they are asked for."""
        with asyncio.Runner() as runner:
            chunks = read_chunks(self.settings, self.source, stretch.base.collect_start, stretch.end)
            folds = stretch.fold(chunks)
            try:
                while (folded := runner.run(anext(folds, None))) is not None:
                    self.done.folded += 1
                    yield folded
            finally:
                runner.run(folds.aclose())
                runner.run(chunks.aclose())

    def _is_there(self, segment: Segment) -> bool:
        """Whether the log still holds all that the segment's fold needs; else it is noted."""
        base = base_of_segment(segment, self.ledger)
        if self.offsets.log_start <= base.collect_start:
            return True
        self.done.gone.append(
            f"{self.source} offsets {segment.start.offset} to {segment.end}: must be read from offset "
            f"{base.collect_start}, the log starts at {self.offsets.log_start}"
        )
        return False

    def _guarded(self, segment: Segment, step: Callable[[Segment], None]) -> bool:
        """Do it if the log holds what it needs, and leads to the clock that the ledger names."""
        if not self._is_there(segment):
            return False
        try:
            step(segment)
        except LogChanged as error:
            self.done.gone.append(f"{self.source} offsets {segment.start.offset} to {segment.end}: {error.what}")
            return False
        return True


def is_old(segment: Segment, now: int) -> bool:
    """Whether some of a slice's minutes may have been dropped with age; `now` in seconds since 1970."""
    youngest = segment.row.arrived if segment.row else segment.start.clock // 1000
    return youngest - segment.rules.allowed_lateness_ms // 1000 < now - KEPT_SECONDS + DAY


def _joins(folded: Folded, rows: Sequence[LedgerRow], hole: Segment) -> bool:
    """Whether the next slice of the ledger, or its next generation, begins where this one ends."""
    after = next((row for row in rows if row.start == folded.row.position), None)
    if after is None:
        return folded.row.position == hole.end
    return (after.block, after.arrived) != folded.name and after.start_clock == folded.row.clock


def runs(found: Sequence[Segment]) -> list[list[Segment]]:
    """Segments of one generation that follow one another are read together; an unfinished one alone."""
    joined: list[list[Segment]] = []
    for segment in found:
        last = joined[-1][-1] if joined else None
        if (
            last
            and last.end == segment.start.offset
            and (last.begin, last.shape, segment.shape) == (segment.begin, Shape.COMPLETE, Shape.COMPLETE)
        ):
            joined[-1].append(segment)
        else:
            joined.append([segment])
    return joined
