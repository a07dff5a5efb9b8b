"""The chain of slices in the ledger: which rows are current, which slices are missing, how far all is flushed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pintally.audit.errors import CannotTell
from pintally.audit.findings import Finding, Kind
from pintally.audit.flushed import Flushed, LedgerRow, LostRow, StartRow
from pintally.audit.rules import CountingRules, parse_rules


@dataclass(frozen=True, slots=True)
class RulesEpoch:
    """Offsets [start, end) of a source under one epoch of the rules; the last epoch has no end."""

    number: int
    rules: CountingRules
    start: int
    start_stream_time: int
    end: int | None

    def holds(self, row: LedgerRow) -> bool:
        """Whether the row starts in this range and has this epoch."""
        inside = row.start >= self.start and (self.end is None or row.start < self.end)
        return inside and row.epoch == self.number


def epochs_in_force(starts: Sequence[StartRow]) -> list[RulesEpoch]:
    """Returns the epochs in the order of the log. An epoch that begins at or after a later one never holds."""
    kept: list[StartRow] = []
    for row in sorted(starts, key=lambda row: row.epoch):
        while kept and kept[-1].start >= row.start:
            kept.pop()
        kept.append(row)
    ends = [*(row.start for row in kept[1:]), None]
    return [
        RulesEpoch(row.epoch, parse_rules(row.rules), row.start, row.start_stream_time, end)
        for row, end in zip(kept, ends, strict=True)
    ]


def epoch_at(epochs: Sequence[RulesEpoch], offset: int) -> RulesEpoch | None:
    """Returns the epoch whose rules hold at an offset; None before the first one."""
    return next((epoch for epoch in reversed(epochs) if epoch.start <= offset), None)


def superseded_ledger_rows(flushed: Flushed, epochs: Sequence[RulesEpoch]) -> Iterator[Finding]:
    """Yields the ledger rows whose epoch does not hold at their offset."""
    for row in flushed.ledger:
        if not any(epoch.holds(row) for epoch in epochs):
            about = Finding(
                Kind.SUPERSEDED_ROW, str(flushed), slice=f"{row.slice_block}/{row.arrived_at}", field="ingest_ledger"
            )
            yield replace(about, found=f"epoch {row.epoch}", start=row.start, end=row.position)


def follow(flushed: Flushed, epochs: Sequence[RulesEpoch]) -> tuple[int, list[Finding]]:
    """Returns the offset up to which all is flushed, except for accepted losses, and the missing slices after it."""
    position, gaps, head = epochs[0].start, [], None
    skipped = [row for row in in_force(flushed) if row.kind in (TRIMMED, DAMAGED)]
    for row in sorted(current_rows(flushed, epochs), key=lambda row: row.start):
        position = _beyond(position, [lost for lost in skipped if lost.end <= row.start])
        if row.start != position:
            head = position if head is None else head
            about = Finding(Kind.SLICE_GAP, str(flushed), found=row.start, expected=position, start=position)
            gaps.append(replace(about, slice=f"{row.slice_block}/{row.arrived_at}", end=row.start))
        position = row.position
    position = _beyond(position, skipped)
    return (position if head is None else head), gaps


def _beyond(position: int, lost: Sequence[LostRow]) -> int:
    """Returns where counting continues if a lost range begins at `position` or in the slice before it."""
    ends = [
        row.end for row in lost if row.start == position or (row.kind == TRIMMED and row.start < position < row.end)
    ]
    return max(ends, default=position)


TRIMMED, RETIRED, DAMAGED = "trimmed", "retired", "damaged"


def in_force(flushed: Flushed) -> list[LostRow]:
    """Returns the losses that took effect. A crash may leave a row whose epoch never began."""
    begun = {row.epoch for row in flushed.starts}
    return [
        row
        for row in flushed.lost
        if row.kind in (RETIRED, DAMAGED)
        or (_goes_on_after(row, flushed) if row.kind == TRIMMED else row.epoch in begun)
    ]


def _goes_on_after(lost: LostRow, flushed: Flushed) -> bool:
    """Whether counting continues at the end of the lost range: an epoch began there, and no later one before it."""
    begun = (lost.epoch, lost.end) in {(row.epoch, row.start) for row in flushed.starts}
    return begun and not any(row.epoch > lost.epoch and row.start < lost.end for row in flushed.starts)


def cuts(flushed: Flushed) -> set[int]:
    """Returns the offsets where counting continued after a lost range: no ids are known there."""
    return {row.end for row in in_force(flushed) if row.kind == TRIMMED}


def current_rows(flushed: Flushed, epochs: Sequence[RulesEpoch]) -> list[LedgerRow]:
    """Returns the ledger rows that are not superseded."""
    return [row for row in flushed.ledger if any(epoch.holds(row) for epoch in epochs)]


def epochs_of(flushed: Flushed) -> list[RulesEpoch]:
    """Returns the epochs of a source. Raises CannotTell if it has none, or if their rules are unknown."""
    if not flushed.starts:
        raise CannotTell(f"{flushed}: no start row", "Start a worker: it writes one before it counts.")
    return epochs_in_force(flushed.starts)
