"""Plans accepted losses: what is lost, and where counting continues. Pure; `epoch_starts` applies the plan.

A plan follows from the ledger and the ends of the log, so it can be made again after a crash.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pintally.schemas.cells import MEMBERS
from pintally.schemas.rows import (
    LAST_OFFSET,
    NO_CELLS,
    LedgerRow,
    LostKind,
    LostRow,
    SliceSum,
    SourceLedger,
    StartRow,
    version_of,
)
from pintally.schemas.rules import ARRIVAL_BUCKET_MS, DAY_MS, MINUTE_MS, Rules
from pintally.schemas.sources import Source
from pintally.sinks.stale_rows import superseded_from
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import Chain, base_of, follow, is_half_lost, is_retired
from pintally.streams.counting.shards import reached, whole
from pintally.streams.operations.change.epoch_starts import Change, next_epoch
from pintally.streams.operations.change.lacking import lacking
from pintally.streams.operations.change.restamp import Restamp
from pintally.streams.operations.repair.segments import Segment, Shape, base_of_segment, current_rows, is_old, segments

Sums = Mapping[tuple[int, int], SliceSum]  # slice_block, arrived_at -> its cells


@dataclass(frozen=True, slots=True)
class Lost:
    """A loss of one source, and what follows from it."""

    source: Source
    row: LostRow | None  # None: no record is lost, all are counted again
    start: StartRow | None = None  # where counting continues
    reopen_from: int | None = None  # seconds since 1970
    forget: bool = False
    kept: Restamp | None = None  # rows of the truncated slice that stay
    lacked: tuple[tuple[int, LedgerRow], ...] = ()  # ledger rows that single shards get, each with its number


def plan_lost(
    rules_of: Callable[[str], Rules],
    ledgers: Mapping[Source, SourceLedger],
    offsets: Mapping[Source, Offsets],
    committed: Mapping[tuple[str, int], int],
    sums_of: Callable[[Source], Sums],
    now: int,
    note: str = "",
) -> list[Lost]:
    """Returns the losses that stop a worker, source by source. `plan_rules` describes the arguments.

    `sums_of` adds up the cells of a source, slice by slice; `now` is in seconds since 1970.

    - A new topic has the name of a counted one: the counted one is retired.
    - The ledger has no row of a source that the group has read: all records in the log are counted again.
    - The log ends below the position: the slice at the end of the log and all later slices are counted again.
    - The log starts above what must be read: counting continues at the start of the log, above every existing row.
    - Rows of slices do not add up, and the log no longer holds their records: the damage is recorded.
    - A shard lacks slices, and the log no longer holds them: see `lacking`. All else is planned when no shard does.
    """
    epoch = next_epoch(ledgers.values())
    retired = {source.topic for source, ledger in ledgers.items() if is_retired(ledger)}
    ids = {source.topic: source.topic_id for source in offsets}
    found: list[Lost] = []
    for source, ledger in ledgers.items():
        if not ledger.starts or source in offsets or is_retired(ledger) or source.topic not in ids:
            continue
        if source.topic_id != ids[source.topic]:
            found += _lacked(source, ledger, None, note) or [_retire(source, ledger, note)]
            retired.add(source.topic)
    for source, ends in offsets.items():
        ledger = ledgers[source]
        if ledger.starts:
            found += _of_source(source, ledger, ends, epoch, sums_of, now, note)
        elif source.topic not in retired and committed.get((source.topic, source.partition), 0) > 0:
            found.append(_anew(source, ends, epoch, rules_of(source.topic), note))
    return found


def change_of(found: list[Lost]) -> Change:
    """Returns all losses as one change."""
    opened = [lost.reopen_from for lost in found if lost.reopen_from is not None]
    starts = [lost.start for lost in found if lost.start]
    return Change(
        starts=tuple(starts),
        lost=tuple(lost.row for lost in found if lost.row),
        reopen_from=min(opened, default=None),
        forget=tuple(lost.source for lost in found if lost.forget),
        lacked=tuple(each for lost in found for each in lost.lacked),
        restamped=tuple(lost.kept for lost in found if lost.kept),
    )


def _retire(source: Source, ledger: SourceLedger, note: str) -> Lost:
    chain = follow(ledger)
    return Lost(source, LostRow(source, chain.epoch_start.epoch, LostKind.RETIRED, chain.position, LAST_OFFSET, note))


def _anew(source: Source, ends: Offsets, epoch: int, rules: Rules, note: str) -> Lost:
    """Existing rows are deleted, because no ledger covers them."""
    start = StartRow(source, epoch, ends.log_start, 0, rules.to_json())
    row = LostRow(source, epoch, LostKind.RECOUNTED, 0, ends.log_start, note) if ends.log_start else None
    return Lost(source, row, start, reopen_from=0, forget=True)


def _of_source(
    source: Source,
    ledger: SourceLedger,
    ends: Offsets,
    epoch: int,
    sums_of: Callable[[Source], Sums],
    now: int,
    note: str,
) -> list[Lost]:
    chain = follow(ledger)
    is_half = is_half_lost(ledger)  # complete it first: rows may be stamped with an epoch that does not hold yet
    if ends.log_end < (counted_to := reached(ledger)) and not is_half:
        is_held = ends.log_start <= base_of(chain).collect_start
        return [_truncated(source, chain if is_held else follow(whole(ledger)), counted_to, ends, epoch, note)]
    if lacked := _lacked(source, ledger, ends.log_start, note):
        return lacked
    if chain.hole is None and (is_half or ends.log_start > base_of(chain).collect_start):
        return [trimmed(source, ledger, chain, ends, epoch, sums_of(source), note)]
    return _damaged(source, ledger, ends, sums_of, now, note)


def _lacked(source: Source, ledger: SourceLedger, log_start: int | None, note: str) -> list[Lost]:
    """Slices that single shards lack for good."""
    return [
        Lost(source, each.lost, lacked=tuple((number, each.row) for number in each.shards))
        for each in lacking(source, ledger, log_start, note)
    ]


def _truncated(source: Source, chain: Chain, counted_to: int, ends: Offsets, epoch: int, note: str) -> Lost:
    """Count again from the start of the slice at the end of the log, so that counts equal the log as it is now.

    `counted_to` is the highest offset of any shard, `chain` is of one from which all can be counted again.
    """
    rows = [*chain.complete, *([chain.unfinished] if chain.unfinished else [])]
    known = [row for row in rows if row.start <= ends.log_end]
    row = LostRow(source, epoch, LostKind.TRUNCATED, ends.log_end, counted_to, note)
    if not known:
        start = StartRow(source, epoch, ends.log_start, 0, chain.epoch_start.rules)
        return Lost(source, row, start, reopen_from=0)
    first = known[-1]
    start = StartRow(source, epoch, first.start, first.start_stream_time, chain.epoch_start.rules)
    return Lost(source, row, start, _first_minute(first, chain))


def _first_minute(first: LedgerRow, chain: Chain) -> int:
    """Returns the first minute (seconds since 1970) that a cell from this slice on can have, under any rules."""
    longest = max(chain.rules.allowed_lateness_ms, _KEPT_MS if first.epoch != chain.epoch_start.epoch else 0)
    return max(0, first.arrived_at * 1000 - longest - MINUTE_MS) // 1000


_KEPT_MS = 90 * DAY_MS  # no minute is kept longer


def trimmed(
    source: Source, ledger: SourceLedger, chain: Chain, ends: Offsets, epoch: int, sums: Sums, note: str
) -> Lost:
    """Plan to continue at the start of the log, above every existing row.

    The slice at the position is truncated. Its rows are true and stay, under an epoch of their own, so that later
    inserts of a stale worker are superseded. An interrupted flush may have written rows ahead of the ledger. Their
    records must not be counted again, so the lost range reaches up to the versions of these rows. The first slice after
    it needs a new name, so that its cells do not replace rows that stay. If necessary, its start row sets stream time
    to the next ten minutes.
    """
    begin = StartRow(source, epoch, chain.start, chain.start_stream_time, chain.epoch_start.rules)
    known = current_rows(whole(ledger))
    rows = [row for row in known if row.start >= begin.start]
    names = _superseded_names(replace(ledger, starts=(*ledger.starts, begin)), chain.epoch_start.epoch, sums)
    reached = [sums[name].position for name in names] + [row.position for row in rows]
    start = max([ends.log_start, chain.position, *reached])
    slice_block, stream_time = start // chain.rules.slice_records, chain.stream_time
    taken = {*sums, *((row.slice_block, row.arrived_at) for row in known)}
    newest = max((arrived_at for each, arrived_at in taken if each == slice_block), default=None)
    if newest is not None:
        stream_time = max(stream_time, (newest * 1000 // ARRIVAL_BUCKET_MS + 1) * ARRIVAL_BUCKET_MS)
    kept = None
    if begin.start < start:
        kept = Restamp(begin, chain.epoch_start.epoch, start, tuple(names), tuple(rows))
        epoch += 1
    return Lost(
        source,
        LostRow(source, epoch, LostKind.TRIMMED, chain.position, start, note),
        StartRow(source, epoch, start, stream_time, chain.epoch_start.rules),
        kept=kept,
    )


def _superseded_names(ledger: SourceLedger, epoch: int, sums: Sums) -> list[tuple[int, int]]:
    """Returns the slices that have superseded cells of `epoch`, or of an epoch that an interrupted run gave them."""
    superseded = next(each for each in superseded_from(ledger) if each.epoch == epoch)
    return [
        name
        for name, each in sums.items()
        if each.version >= version_of(epoch, 0) and superseded.has_cell(*name, version_of(epoch, 0))
    ]


def _damaged(
    source: Source, ledger: SourceLedger, ends: Offsets, sums_of: Callable[[Source], Sums], now: int, note: str
) -> list[Lost]:
    """Returns the slices that `repair` cannot recount."""
    ledger = whole(ledger)
    gone = [
        segment
        for segment in segments(ledger)
        if (segment.shape is Shape.HOLE or (segment.shape is Shape.COMPLETE and not is_old(segment, now)))
        and ends.log_start > base_of_segment(segment, ledger).collect_start
    ]
    sums = sums_of(source) if gone else {}
    return [
        Lost(source, LostRow(source, each.begin.epoch, LostKind.DAMAGED, each.start.offset, each.end, note))
        for each in gone
        if each.shape is Shape.HOLE or not _adds_up(each, sums)
    ]


def _adds_up(segment: Segment, sums: Sums) -> bool:
    """Whether the cells of a slice are what its ledger row says. Members are kept for days, as the log is."""
    cells = sums.get(segment.name, NO_CELLS) if segment.name else NO_CELLS
    return not (segment.row and segment.name) or cells.adds_up_to(segment.row, but=[kind.table for kind in MEMBERS])
