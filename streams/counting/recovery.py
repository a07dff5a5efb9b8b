"""Finds where the fold of a source begins again, from the ledger alone. Pure (C12 to C16)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pintally.schemas.rows import LedgerRow, LostKind, LostRow, Replacement, SourceLedger, StartRow
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, NEVER_LATE_MS, Rules
from pintally.streams.counting.slices import Base


@dataclass(frozen=True, slots=True)
class Before:
    """Records before the first start row, counted in another log: their ids may matter to what follows."""

    start: int  # offset
    stream_time: int  # ms: the source's stream time before it
    end: int  # offset of the first start row
    end_stream_time: int  # ms: the source's stream time before it


@dataclass(frozen=True, slots=True)
class Chain:
    """The ledger of one source followed from its start row: slices that join, without superseded rows."""

    complete: tuple[LedgerRow, ...]  # fully flushed slices: the next one, or a lost range, starts there
    unfinished: LedgerRow | None  # the first that is not; later slices may have rows all the same
    epoch_start: StartRow  # start row of the highest epoch: the rules in force
    ids_from: int = 0  # offset: no earlier record's id can matter, an operator gave up what lies before
    hole: int | None = None  # offset below the epoch start where a slice is missing that no worker will fold again
    before: Before | None = None  # what its log holds of the topic whose place it took

    @property
    def start(self) -> int:
        """Offset of the first slice that is not fully flushed."""
        if self.unfinished:
            return self.unfinished.start
        return self.epoch_start.start if self.hole is None else self.hole

    @property
    def start_stream_time(self) -> int:
        """The source's stream time before `start`, in ms."""
        if self.unfinished:
            return self.unfinished.start_stream_time
        return (
            self.complete[-1].stream_time
            if self.complete and self.hole is not None
            else self.epoch_start.start_stream_time
        )

    @property
    def position(self) -> int:
        """The offset below which everything is flushed."""
        return self.unfinished.position if self.unfinished else self.start

    @property
    def stream_time(self) -> int:
        """The source's stream time at `position`, in ms."""
        return self.unfinished.stream_time if self.unfinished else self.start_stream_time

    @property
    def version(self) -> int | None:
        """The version of its last row; None if it has none. A ledger that later shows less went back."""
        return self._last.version if self._last else None

    @property
    def place(self) -> tuple[int, int] | None:
        """The block and bucket (seconds since 1970) of its last row; None if it has none."""
        return (self._last.slice_block, self._last.arrived_at) if self._last else None

    @property
    def _last(self) -> LedgerRow | None:
        return self.unfinished or (self.complete[-1] if self.complete else None)

    @property
    def rules(self) -> Rules:
        """The rules that hold from the epoch start on."""
        return Rules.from_json(self.epoch_start.rules)


def follow(ledger: SourceLedger) -> Chain:
    """Follow the rows from the lowest start row on, across lost ranges. Rows that this does not reach are not used.

    Raises ValueError for a source without a start row: it gets one before anything else.
    """
    starts = ruling(ledger.starts)
    if not starts:
        raise ValueError("a source without a start row has no chain")
    rows = {row.start: row for row in ledger.rows if not is_superseded(row, ledger)}
    begins = rows.keys() | {start.start for start in starts[1:]}
    lost = [row for row in effective(ledger) if row.kind is LostKind.TRIMMED]
    damaged = {row.start: row.end for row in effective(ledger) if row.kind is LostKind.DAMAGED}
    complete: list[LedgerRow] = []
    position = ids_from = starts[0].start
    while True:
        row = rows.get(position)
        if gap := _lost_from(position, row, lost):
            complete += [row] if row else []
            position = ids_from = gap.end
            lost.remove(gap)
        elif row and row.position > position and row.position in begins:
            complete.append(row)
            position = row.position
        elif damaged.get(position, 0) > position and (row is None or damaged[position] in begins):
            position = damaged.pop(position)
        else:
            break
    hole = position if position < starts[-1].start else None
    before = before_of(ledger) if ids_from == starts[0].start else None
    return Chain(tuple(complete), rows.get(position), starts[-1], ids_from, hole, before)


def followed_rows(ledger: SourceLedger) -> tuple[LedgerRow, ...]:
    """The rows that lead to the position of a source, by start."""
    chain = follow(ledger)
    return (*chain.complete, chain.unfinished) if chain.unfinished else chain.complete


def before_of(ledger: SourceLedger) -> Before | None:
    """The records that the log holds of the topic it replaced, if it is still counted from the same offset on."""
    row, first = ledger.replaces, ruling(ledger.starts)[0]
    if row is None or row.start != first.start or row.collect_start == row.start:
        return None
    return Before(row.collect_start, row.collect_stream_time, first.start, first.start_stream_time)


def _lost_from(position: int, row: LedgerRow | None, lost: Sequence[LostRow]) -> LostRow | None:
    """The lost range that begins at `position`, or inside its slice, whatever end a late insert gives that slice."""
    for gap in lost:
        if gap.start == position or (row and row.epoch < gap.epoch and position < gap.start <= row.position):
            return gap
    return None


def ruling(starts: Iterable[StartRow]) -> list[StartRow]:
    """The start rows in force, by epoch and offset: without those at or above the offset of a later epoch's."""
    ruled: list[StartRow] = []
    for start in sorted(starts, key=lambda start: start.epoch):
        while ruled and ruled[-1].start >= start.start:
            ruled.pop()
        ruled.append(start)
    return ruled


def effective(ledger: SourceLedger) -> list[LostRow]:
    """The lost rows that took effect: a crash may have left one without its start row."""
    begun = {start.epoch for start in ledger.starts}
    return [
        row
        for row in ledger.lost
        if row.kind in (LostKind.RETIRED, LostKind.DAMAGED)
        or (_goes_on_after(row, ledger) if row.kind is LostKind.TRIMMED else row.epoch in begun)
    ]


def given_up(ledger: SourceLedger) -> list[LostRow]:
    """The accepted losses of a source, without the empty range that marks a replaced topic."""
    return [row for row in effective(ledger) if row.start < row.end or not ledger.replaced]


def _goes_on_after(row: LostRow, ledger: SourceLedger) -> bool:
    """Whether counting begins anew at a range's end. Later rules may begin there too, but not below it."""
    at_end = any((start.epoch, start.start) == (row.epoch, row.end) for start in ledger.starts)
    return at_end and all(start.start >= row.end for start in ledger.starts if start.epoch > row.epoch)


def is_retired(ledger: SourceLedger) -> bool:
    """Whether the source is not counted any more: its topic was given up, or another topic replaced it."""
    given_up = any(row.kind is LostKind.RETIRED for row in ledger.lost)
    return given_up or any(row.how is not Replacement.SAME_OFFSETS for row in ledger.replaced)


def is_half_lost(ledger: SourceLedger) -> bool:
    """Whether `accept-loss` was interrupted: the lost range is recorded, but not the epoch start after it."""
    begun = max((start.epoch for start in ledger.starts), default=0)
    return any(row.kind is LostKind.TRIMMED and row.epoch > begun for row in ledger.lost)


def greatest_lateness(rules: Rules, ledgers: Iterable[SourceLedger]) -> int:
    """The greatest lateness of the rules in force, in seconds, where lateness is bounded: replay topics have none."""
    known = [Rules.from_json(ruling(ledger.starts)[-1].rules) for ledger in ledgers if ledger.starts]
    bounded = [each.allowed_lateness_ms for each in known if each.allowed_lateness_ms < NEVER_LATE_MS]
    return max([*bounded, rules.allowed_lateness_ms]) // 1000


def cut_base(chain: Chain) -> Base:
    """A base at the ledger's position, for a log that holds all records not counted yet, but not the base slice.

    A worker that was never restarted would go on there too. The result is the same as long as no record belongs to the
    slice that is recorded up to there, and none can be a duplicate of a record before: the fold refuses such records.
    """
    return Base(
        chain.position, chain.stream_time, chain.position, chain.stream_time, is_cut=True, open_slice=chain.unfinished
    )


def is_superseded(row: LedgerRow, ledger: SourceLedger) -> bool:
    """Whether a higher epoch's rules hold from an offset at or below the row's slice (C19)."""
    return any(start.epoch > row.epoch and row.start >= start.start for start in ledger.starts)


def base_of(chain: Chain) -> Base:
    """The base slice, and the slice start from which the ids that can still matter to it are collected (C14).

    An earlier record matters if its block and its bucket are the base slice's own or one less.
    """
    slice_block = chain.start // chain.rules.slice_records
    bucket = chain.start_stream_time // ARRIVAL_BUCKET_MS
    if chain.unfinished:  # its own bucket; without a row the stream time before it is the lowest it can have
        bucket = chain.unfinished.arrived_at * 1000 // ARRIVAL_BUCKET_MS
    collect_start, collect_stream_time = chain.start, chain.start_stream_time
    for row in reversed(chain.complete):
        if row.start < chain.ids_from:
            break
        last_block = (row.position - 1) // chain.rules.slice_records
        if last_block < slice_block - 1 or row.arrived_at * 1000 // ARRIVAL_BUCKET_MS < bucket - 1:
            break
        collect_start, collect_stream_time = row.start, row.start_stream_time
    else:
        if (before := chain.before) and (
            (before.end - 1) // chain.rules.slice_records >= slice_block - 1
            and before.end_stream_time // ARRIVAL_BUCKET_MS >= bucket - 1
        ):
            collect_start, collect_stream_time = before.start, before.stream_time
    return Base(collect_start, collect_stream_time, chain.start, chain.start_stream_time)


def least_lateness(rules: Rules, ledgers: Iterable[SourceLedger]) -> int:
    """The least lateness of any rules, in seconds: hours sealed under earlier rules were not sealed early by those."""
    known = [Rules.from_json(start.rules).allowed_lateness_ms for ledger in ledgers for start in ledger.starts]
    return min([*known, rules.allowed_lateness_ms]) // 1000
