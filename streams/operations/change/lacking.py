"""What single shards lack of slices that the log can no longer give (C34). Pure.

The ledger row of a slice is equal on all shards that have counted it to its end. A shard that was restored lacks rows,
and the cells of its pins. If the log holds what a recount needs, workers or `repair` count such a slice once more. If
not, nobody can: the cells of the other shards stay, those of this shard are given up. For that its ledger gets the row
of the slice, and the slice is recorded as damaged, on all shards, because the sum over them is not what was counted.
Then the ledgers are equal, and all that follows (ids of duplicates, C14; where counting continues) is as on one server.
"""

from dataclasses import dataclass, replace

from pintally.schemas.rows import LedgerRow, LostKind, LostRow, SourceLedger
from pintally.schemas.sources import Source
from pintally.streams.counting.recovery import effective
from pintally.streams.counting.shards import begun_rows, whole
from pintally.streams.operations.repair.segments import Segment, Shape, base_of_segment, segments

NOT_COUNTED = "not counted on shard"  # in the note of a lost slice, before the number of a shard


@dataclass(frozen=True, slots=True)
class Lacking:
    """A slice that some shards lack, as the one has it that has counted furthest."""

    row: LedgerRow
    lost: LostRow | None  # None: it was given up before, and these shards were named
    shards: tuple[int, ...]


def lacking(source: Source, ledger: SourceLedger, log_start: int | None, note: str) -> list[Lacking]:
    """The slices that cannot be counted again, by start, and the shards that lack them; none of one server.

    `log_start` is the first offset of the log; None if the log is gone.
    """
    known, found = whole(ledger), []
    given_up = {(row.start, row.end): row for row in effective(known) if row.kind is LostKind.DAMAGED}
    for segment in segments(known) if ledger.of_shards else ():
        row = segment.row
        if row is None or segment.shape is Shape.HOLE:
            continue
        if log_start is not None and _collect_start(segment, known) >= log_start:
            continue
        counted_to = {number: _counted_to(each, row) for number, each in enumerate(ledger.of_shards)}
        behind = {number: position for number, position in counted_to.items() if position is not None}
        if behind:
            lost = LostRow(source, segment.begin.epoch, LostKind.DAMAGED, row.start, row.position, "")
            before = given_up.get((row.start, row.position))
            found.append(Lacking(row, _named(before or lost, behind, before, note), tuple(behind)))
    return found


def _collect_start(segment: Segment, ledger: SourceLedger) -> int:
    """The first offset that a recount needs: also of a worker that has no row of the slice, and takes its bucket to be
    the lowest possible."""
    bases = base_of_segment(segment, ledger), base_of_segment(replace(segment, row=None), ledger)
    return min(base.collect_start for base in bases)


def _counted_to(ledger: SourceLedger, row: LedgerRow) -> int | None:
    """How far a shard has counted this slice, if that is not all of the row."""
    name = row.slice_block, row.arrived_at
    rows = [each for each in begun_rows(ledger) if (each.slice_block, each.arrived_at) == name]
    own = [each for each in rows if each.epoch == row.epoch]
    if any(each.version >= row.version for each in own):
        return None
    return max((each.position for each in own), default=row.start)


def _named(lost: LostRow, behind: dict[int, int], before: LostRow | None, note: str) -> LostRow | None:
    """The lost slice with the shards that lack it, beside those that were named before; None if that is nothing new."""
    if before and NOT_COUNTED not in before.note:
        return None  # any shard may lack it
    said = before.note if before else ""
    new = [f"{NOT_COUNTED} {n} from offset {at}" for n, at in behind.items() if f"{NOT_COUNTED} {n} " not in said]
    if not new:
        return None
    return replace(lost, note="; ".join([*([said] if said else []), *new, *([note] if note else [])]))
