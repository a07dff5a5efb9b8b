"""Where a recount may begin if it cannot, or need not, begin at the start of the log."""

from collections.abc import Sequence
from typing import NamedTuple

from pintally.audit.chain import RulesEpoch, current_rows, cuts
from pintally.audit.flushed import Flushed
from pintally.audit.recount import SliceStart
from pintally.audit.rules import ARRIVAL_BUCKET_MS


class Beginning(NamedTuple):
    """Read from `collect` on, only for the ids; count from `first` on."""

    collect: SliceStart
    first: SliceStart


def counted_elsewhere(flushed: Flushed, epochs: Sequence[RulesEpoch]) -> list[SliceStart]:
    """Returns where the ids begin that were counted in the log which this one replaced."""
    row = flushed.replaces
    if row is None or row.start != epochs[0].start or row.collect_start == row.start:
        return []
    return [SliceStart(row.collect_start, row.collect_stream_time)]


def ledger_places(flushed: Flushed, epochs: Sequence[RulesEpoch]) -> list[SliceStart]:
    """Returns where the slices of the ledger and the epochs begin, ascending."""
    known = {row.start: SliceStart(row.start, row.start_stream_time) for row in current_rows(flushed, epochs)}
    known |= {epoch.start: SliceStart(epoch.start, epoch.start_stream_time) for epoch in epochs}
    return [known[offset] for offset in sorted(known) if offset >= epochs[0].start]


def last_cut(flushed: Flushed, epoch: RulesEpoch) -> int:
    """The offset before which no ids are known: where counting continued after a lost range."""
    return max((cut for cut in cuts(flushed) if cut <= epoch.start), default=0)


def beginning(
    places: Sequence[SliceStart], log_start: int, slice_records: int, wanted: int, limit: int
) -> Beginning | None:
    """Returns the earliest slice start in [wanted, limit) from which a recount is possible, and where its ids begin.

    `places` are slice starts with their stream times, ascending; nothing was counted before the first of them. A record
    matters to later ones in the same or the next block and bucket. So ids may begin at a place if all earlier records
    are two blocks or two buckets away. None: the log begins (at `log_start`) too late.
    """
    kept = [place for place in places if place.offset >= log_start]
    for first in kept:
        if not wanted <= first.offset < limit:
            continue
        for collect in reversed(kept):
            if collect.offset <= first.offset and (
                collect == places[0] or nothing_before_matters(collect, first, slice_records)
            ):
                return Beginning(collect, first)
    return None


def nothing_before_matters(place: SliceStart, first: SliceStart, slice_records: int) -> bool:
    """Whether the ids of all records before `place` do not matter at `first` or later."""
    blocks_away = first.offset // slice_records - (place.offset - 1) // slice_records
    buckets_away = first.stream_time // ARRIVAL_BUCKET_MS - place.stream_time // ARRIVAL_BUCKET_MS
    return blocks_away >= 2 or buckets_away >= 2
