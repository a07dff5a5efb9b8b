"""Repairs one source: first holes in its ledger, then slices that are wrong or named, then orphaned rows."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import MEMBERS, PinMinuteRows
from pintally.schemas.rows import EPOCH_SHIFT, NO_CELLS, LedgerRow, LostKind, SliceSum, SourceLedger
from pintally.schemas.sources import Source
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.fold import LogChanged
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import effective, follow
from pintally.streams.kafka.fetching.reader import read_chunks
from pintally.streams.kafka.topics import read_offsets
from pintally.streams.operations.repair.choice import Choice, Name, Repair
from pintally.streams.operations.repair.refold import Folded, SliceStart, Stretch
from pintally.streams.operations.repair.rewrite import repair_slice
from pintally.streams.operations.repair.segments import (
    DAY,
    KEPT_SECONDS,
    Segment,
    Shape,
    base_of_segment,
    current_rows,
    is_old,
    oldest_of,
    segments,
)
from pintally.streams.settings import KafkaSettings, TopicSettings

MAX_GAP_PASSES = 5  # filling one hole may show the next one
MAX_LAG_SLICES = 4  # a source that is further behind must catch up before orphaned rows are deleted


class SourceRepair:
    """The repair of one source."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: TopicSettings,
        session: MaintenanceSession,
        source: Source,
        offsets: Offsets,
        choice: Choice,
        done: Repair,
        keys: UserKeys = NO_KEYS,
    ) -> None:
        self.kafka = kafka
        self.topics = topics
        self.session = session
        self.source = source
        self.offsets = offsets
        self.choice = choice
        self.done = done
        self.keys = keys
        self.now = session.read_clock() // 1000  # of ClickHouse, which deletes rows by its own clock
        self.letters_from = self.now - (topics.dead_letter_days - 1) * DAY
        self.members_from = self.now - (topics.member_days - 1) * DAY

    def run(self) -> None:
        """Repair the source. Holes come first, because only slices that join can be checked."""
        before: list[Segment] = []
        for _ in range(MAX_GAP_PASSES):
            holes = [segment for segment in self._segments() if segment.shape is Shape.HOLE]
            if not holes or holes == before:
                break
            for hole in holes:
                self._guarded(hole, self._fill)
            before = holes
        self._judge()
        self._remove_orphans()

    def _segments(self) -> list[Segment]:
        self.ledger: SourceLedger = self.session.read_ledgers([self.source])[self.source]
        return segments(self.ledger)

    def _judge(self) -> None:
        """Recount the chosen slices, and those that do not add up."""
        found = self._segments()
        sums = self.session.slice_sums(self.source)
        late, invalid = self.session.letter_offsets(self.source)
        wrong = [
            segment
            for segment in found
            if segment.shape in (Shape.COMPLETE, Shape.UNFINISHED)
            and (self.choice.names(self.source, segment) or self._adds_up_wrong(segment, sums, late, invalid))
        ]
        for run in runs([segment for segment in wrong if self._is_there(segment)]):
            self._guarded(run[0], partial(self._rewrite, run))

    def _adds_up_wrong(
        self, segment: Segment, sums: Mapping[Name, SliceSum], late: NDArray[np.int64], invalid: NDArray[np.int64]
    ) -> bool:
        """Whether the sums of a segment are wrong. Rows of an unfinished slice may be ahead of its ledger row."""
        row = segment.row
        if row is None or self.choice.only_named:
            return False
        cells = sums.get((row.slice_block, row.arrived_at), NO_CELLS)
        outcomes = (row.outcomes.late, row.outcomes.invalid)
        letters = tuple(int(np.subtract(*at.searchsorted([row.position, row.start]))) for at in (late, invalid))
        old = is_old(segment, self.now)
        gone = () if oldest_of(segment) >= self.members_from + DAY else tuple(kind.table for kind in MEMBERS)
        if row.arrived_at > self.letters_from + DAY and letters != outcomes:
            return True
        if segment.shape is Shape.UNFINISHED:
            return cells.lacks_some_of(row, but=gone)
        wrong = row.cells_sum != row.outcomes.counted or row.outcomes.total != row.position - row.start
        return wrong or not (old or cells.adds_up_to(row, but=gone))

    def _rewrite(self, run: Sequence[Segment], _: Segment) -> None:
        """Recount consecutive slices in one reading of the log."""
        known = {segment.start.offset: segment for segment in run}
        stretch = self._stretch(run[0], run[-1].end)
        for folded in self._fold(stretch):
            segment = known.get(folded.row.start)
            if segment is None or segment.name != folded.name or folded.row.position != segment.end:
                self.done.waiting.append(
                    f"{self.source} offsets {folded.row.start} to {folded.row.position}: the ledger has slices there "
                    "that the log does not have"
                )
                continue
            self._repair_slice(folded, segment.row, complete=segment.shape is Shape.COMPLETE)

    def _fill(self, hole: Segment) -> None:
        """Recount from a hole until a slice ends where a ledger row begins; rows in between are wrong."""
        rows = [row for row in current_rows(self.ledger) if row.epoch == hole.begin.epoch]
        rows = [row for row in rows if row.start >= hole.start.offset]
        border = max([hole.end, *(row.start for row in rows)])
        true: list[Folded] = []
        joined = None
        for folded in self._fold(self._stretch(hole, border)):
            true.append(folded)
            if _joins(folded, rows, hole):
                joined = folded.row.position
                break
        if joined is None:  # the last slice is open: a worker will restore it
            true, joined = true[:-1], border + 1
        names = {folded.name for folded in true}
        inside = {(row.slice_block, row.arrived_at): row for row in rows if row.start < joined}
        self.session.delete_ledger([row for name, row in inside.items() if name not in names])
        for folded in true:
            self._repair_slice(folded, inside.get(folded.name), complete=True)

    def _remove_orphans(self) -> None:
        """Delete cells of slices that the log does not have: no worker will ever overwrite them.

        They stay if the log cannot prove it: below a hole, and after a slice was truncated by a loss.
        """
        sums = self.session.slice_sums(self.source)
        if any(segment.shape in (Shape.HOLE, Shape.GIVEN_UP) for segment in self._segments()):
            return
        known = {(row.slice_block, row.arrived_at) for row in self.ledger.rows}
        cut = max((row.epoch for row in effective(self.ledger) if row.kind is LostKind.TRIMMED), default=0)
        orphans = {name for name in sums.keys() - known if sums[name].version >> EPOCH_SHIFT >= cut}
        if orphans and max(orphans) > max(known, default=(-1, -1)):
            orphans -= self._begun(orphans)
        for slice_block, arrived_at in sorted(orphans):
            self.session.delete_cells(self.source, slice_block, arrived_at)
            self.done.removed.append(
                f"{self.source} slice {slice_block}/{arrived_at}: {sums[slice_block, arrived_at].events} events"
            )

    def _begun(self, orphans: set[Name]) -> set[Name]:
        """Returns the slices that a worker may have begun, by the log; all of `orphans` if the log is too long."""
        chain = follow(self.ledger)
        end = read_offsets(self.kafka, [self.source])[self.source].last_stable
        tail = Segment(
            Shape.UNFINISHED, chain.epoch_start, SliceStart(chain.start, chain.start_stream_time), end, chain.unfinished
        )
        names: set[Name] = set()
        if end - chain.start > MAX_LAG_SLICES * chain.rules.slice_records:
            self.done.waiting.append(f"{self.source}: too far behind to distinguish orphaned rows from slices to come")
            return orphans

        def fold(_: Segment) -> None:
            names.update(folded.name for folded in self._fold(self._stretch(tail, end)))

        return names if self._guarded(tail, fold) else orphans

    def _repair_slice(self, folded: Folded, known: LedgerRow | None, *, complete: bool) -> None:
        repaired = repair_slice(
            self.session,
            folded,
            known,
            complete=complete,
            cells_from=dict.fromkeys(MEMBERS, self.members_from) | {PinMinuteRows: self.now - KEPT_SECONDS},
            letters_from=self.letters_from,
        )
        if repaired:
            self.done.repaired.append(repaired)

    def _stretch(self, segment: Segment, end: int) -> Stretch:
        base = base_of_segment(segment, self.ledger)
        action = self.topics.actions[self.source.topic]
        return Stretch(self.source, action, segment.begin.epoch, segment.rules, base, end, self.keys)

    def _fold(self, stretch: Stretch) -> Iterator[Folded]:
        """Yields slice by slice, and reads the log as needed."""
        with asyncio.Runner() as runner:
            chunks = read_chunks(self.kafka, self.source, stretch.base.collect_start, stretch.end)
            folds = stretch.fold(chunks)
            try:
                while (folded := runner.run(anext(folds, None))) is not None:
                    self.done.folded += 1
                    yield folded
            finally:
                runner.run(folds.aclose())
                runner.run(chunks.aclose())

    def _is_there(self, segment: Segment) -> bool:
        """Whether the log still holds what the recount of a segment needs; otherwise it is reported."""
        base = base_of_segment(segment, self.ledger)
        if self.offsets.log_start <= base.collect_start:
            return True
        self.done.gone.append(
            f"{self.source} offsets {segment.start.offset} to {segment.end}: must be read from offset "
            f"{base.collect_start}, the log starts at {self.offsets.log_start}"
        )
        return False

    def _guarded(self, segment: Segment, step: Callable[[Segment], None]) -> bool:
        """Run a step if the log holds what it needs; returns False if not, or if the log has changed."""
        if not self._is_there(segment):
            return False
        try:
            step(segment)
        except LogChanged as error:
            self.done.gone.append(f"{self.source} offsets {segment.start.offset} to {segment.end}: {error.what}")
            return False
        return True


def _joins(folded: Folded, rows: Sequence[LedgerRow], hole: Segment) -> bool:
    """Whether the next slice or the next epoch in the ledger begins where this slice ends."""
    after = next((row for row in rows if row.start == folded.row.position), None)
    if after is None:
        return folded.row.position == hole.end
    return (after.slice_block, after.arrived_at) != folded.name and after.start_stream_time == folded.row.stream_time


def runs(found: Sequence[Segment]) -> list[list[Segment]]:
    """Returns segments in groups that are read together: consecutive ones of one epoch; an unfinished one alone."""
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
