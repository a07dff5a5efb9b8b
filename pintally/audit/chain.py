"""The ledger's slices, one after the other: which rows hold, where a slice is missing, how far all is emitted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pintally.audit.emitted import Emitted, LedgerRow, LostRow, StartRow
from pintally.audit.errors import CannotTell
from pintally.audit.findings import Finding, Kind
from pintally.audit.rules import CountingRules, parse_rules


@dataclass(frozen=True, slots=True)
class Reign:
    """[start, end) of a source under one generation of rules; the last one has no end."""

    generation: int
    rules: CountingRules
    start: int
    start_clock: int
    end: int | None

    def holds(self, row: LedgerRow) -> bool:
        """Whether the row lies here and is of this generation."""
        inside = row.start >= self.start and (self.end is None or row.start < self.end)
        return inside and row.generation == self.generation


def reigns(starts: Sequence[StartRow]) -> list[Reign]:
    """Generations of rules in the order of the log. A generation that begins at or after a later one never ruled."""
    ruled: list[StartRow] = []
    for row in sorted(starts, key=lambda row: row.generation):
        while ruled and ruled[-1].start >= row.start:
            ruled.pop()
        ruled.append(row)
    ends = [*(row.start for row in ruled[1:]), None]
    return [
        Reign(row.generation, parse_rules(row.rules), row.start, row.start_clock, end)
        for row, end in zip(ruled, ends, strict=True)
    ]


def void_ledger_rows(emitted: Emitted, ruled: Sequence[Reign]) -> Iterator[Finding]:
    """Ledger rows of a generation that does not rule where they are."""
    for row in emitted.ledger:
        if not any(reign.holds(row) for reign in ruled):
            about = Finding(Kind.VOID_ROW, str(emitted), slice=f"{row.block}/{row.arrived}", field="ingest_ledger")
            yield replace(about, found=f"generation {row.generation}", start=row.start, end=row.position)


def follow(emitted: Emitted, ruled: Sequence[Reign]) -> tuple[int, list[Finding]]:
    """How far all is emitted without a gap but for what was given up, and the gaps after that. Offsets."""
    position, gaps, head = ruled[0].start, [], None
    skipped = [row for row in in_force(emitted) if row.kind in (TRIMMED, DAMAGED)]
    for row in sorted(held(emitted, ruled), key=lambda row: row.start):
        position = _beyond(position, [lost for lost in skipped if lost.end <= row.start])
        if row.start != position:
            head = position if head is None else head
            about = Finding(Kind.SLICE_GAP, str(emitted), found=row.start, expected=position, start=position)
            gaps.append(replace(about, slice=f"{row.block}/{row.arrived}", end=row.start))
        position = row.position
    position = _beyond(position, skipped)
    return (position if head is None else head), gaps


def _beyond(position: int, lost: Sequence[LostRow]) -> int:
    """Where counting goes on if some of `accept-loss` begins at `position`, or within the slice that it cut short."""
    ends = [
        row.end for row in lost if row.start == position or (row.kind == TRIMMED and row.start < position < row.end)
    ]
    return max(ends, default=position)


TRIMMED, RETIRED, DAMAGED = "trimmed", "retired", "damaged"


def in_force(emitted: Emitted) -> list[LostRow]:
    """What was given up and took effect: a crash may have left a row whose generation never began."""
    begun = {row.generation for row in emitted.starts}
    return [
        row
        for row in emitted.lost
        if row.kind in (RETIRED, DAMAGED)
        or (_goes_on_after(row, emitted) if row.kind == TRIMMED else row.generation in begun)
    ]


def _goes_on_after(lost: LostRow, emitted: Emitted) -> bool:
    """Whether its generation began at its end, and none since then below it: rules may change right there."""
    begun = (lost.generation, lost.end) in {(row.generation, row.start) for row in emitted.starts}
    return begun and not any(row.generation > lost.generation and row.start < lost.end for row in emitted.starts)


def cuts(emitted: Emitted) -> set[int]:
    """Offsets where counting began anew after a lost range: the slice before was cut short, no id was carried over."""
    return {row.end for row in in_force(emitted) if row.kind == TRIMMED}


def held(emitted: Emitted, ruled: Sequence[Reign]) -> list[LedgerRow]:
    """The ledger rows that are not void."""
    return [row for row in emitted.ledger if any(reign.holds(row) for reign in ruled)]


def ruled_by(emitted: Emitted) -> list[Reign]:
    """The reigns of a source. Raises CannotTell if it has none, or one whose rules are unknown here."""
    if not emitted.starts:
        raise CannotTell(f"{emitted}: no start row", "Start a worker: it writes one before it counts.")
    return reigns(emitted.starts)
