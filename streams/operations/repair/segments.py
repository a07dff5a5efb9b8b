"""The ledger of one source as segments that can be recounted: complete slices, holes, the unfinished slice. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from pintally.schemas.rows import LedgerRow, LostKind, SourceLedger, StartRow
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules
from pintally.streams.counting.recovery import before_of, effective, is_superseded, ruling
from pintally.streams.counting.slices import Base
from pintally.streams.operations.repair.refold import SliceStart, base_at

DAY = 86_400
KEPT_SECONDS = 89 * DAY  # older minutes may have been dropped with age


class Shape(StrEnum):
    """How a segment ends."""

    COMPLETE = "complete"  # the next slice or the next epoch begins at its end
    HOLE = "hole"  # a row is missing, or does not end where the next one starts
    UNFINISHED = "unfinished"  # the newest slice: a worker continues it
    GIVEN_UP = "given up"  # an operator accepted that it cannot be repaired
    TRUNCATED_BY_LOSS = "truncated by a loss"  # offsets beyond its position are lost; rows may be ahead of it


@dataclass(frozen=True, slots=True)
class Segment:
    """Offsets [start, end) under one epoch. `row` is the slice's ledger row; a hole may have none."""

    shape: Shape
    begin: StartRow  # of its epoch
    start: SliceStart
    end: int
    row: LedgerRow | None

    @property
    def rules(self) -> Rules:
        """The rules that it was counted by."""
        return Rules.from_json(self.begin.rules)

    @property
    def name(self) -> tuple[int, int] | None:
        """slice_block and arrived_at of its slice."""
        return (self.row.slice_block, self.row.arrived_at) if self.row else None


def current_rows(ledger: SourceLedger) -> list[LedgerRow]:
    """The ledger rows that are not superseded, by start."""
    return sorted((row for row in ledger.rows if not is_superseded(row, ledger)), key=lambda row: row.start)


def segments(ledger: SourceLedger) -> list[Segment]:
    """Returns all segments of a source, from its first start row on."""
    starts = ruling(ledger.starts)
    rows = {row.start: row for row in current_rows(ledger)}
    cuts = {row.end for row in effective(ledger) if row.kind is LostKind.TRIMMED}
    found: list[Segment] = []
    for begin, after in pairwise([*starts, None]):
        assert begin
        end = after.start if after else None
        own = {at: row for at, row in rows.items() if begin.start <= at and (end is None or at < end)}
        found += _of_epoch(begin, own, end, is_cut=end in cuts)
    noted = {(row.start, row.end) for row in effective(ledger) if row.kind is LostKind.DAMAGED}
    return [replace(each, shape=Shape.GIVEN_UP) if (each.start.offset, each.end) in noted else each for each in found]


def _of_epoch(begin: StartRow, rows: dict[int, LedgerRow], end: int | None, *, is_cut: bool) -> Iterator[Segment]:
    """The segments under one epoch; `end` is where the next one begins."""
    at = SliceStart(begin.start, begin.start_stream_time)
    while at.offset != end:
        row = rows.get(at.offset)
        after = min((start for start in rows if start > at.offset), default=None)
        if after is None and (is_cut or end is None):
            if row:
                yield Segment(Shape.TRUNCATED_BY_LOSS if is_cut else Shape.UNFINISHED, begin, at, row.position, row)
            return
        border = end if after is None else after
        assert border is not None
        joins = row is not None and row.position == border
        yield Segment(Shape.COMPLETE if joins else Shape.HOLE, begin, at, border, row)
        if after is None:
            return
        at = SliceStart(after, rows[after].start_stream_time)


def base_of_segment(segment: Segment, ledger: SourceLedger) -> Base:
    """Returns where its recount begins, and where its ids are collected from."""
    places = {row.start: SliceStart(row.start, row.start_stream_time) for row in current_rows(ledger)}
    places |= {start.start: SliceStart(start.start, start.start_stream_time) for start in ruling(ledger.starts)}
    if before := before_of(ledger):
        places[before.start] = SliceStart(before.start, before.stream_time)
    lost = (row.end for row in effective(ledger) if row.kind is LostKind.TRIMMED and row.end <= segment.start.offset)
    bucket = (
        segment.row.arrived_at * 1000 // ARRIVAL_BUCKET_MS
        if segment.row
        else segment.start.stream_time // ARRIVAL_BUCKET_MS
    )
    ordered = [places[offset] for offset in sorted(places)]
    return base_at(ordered, segment.start, bucket, segment.rules.slice_records, max(lost, default=0))


def is_old(segment: Segment, now: int) -> bool:
    """Whether some of a slice's minutes may have been dropped with age; `now` in seconds since 1970."""
    return oldest_of(segment) < now - KEPT_SECONDS + DAY


def oldest_of(segment: Segment) -> int:
    """The oldest event that a slice may have counted, in seconds since 1970."""
    arrived_at = segment.row.arrived_at if segment.row else segment.start.stream_time // 1000
    return arrived_at - segment.rules.allowed_lateness_ms // 1000
