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


def places_of(flushed: Flushed, epochs: Sequence[RulesEpoch]) -> list[SliceStart]:
    """Returns where slices and epochs begin, ascending; and before them, where ids begin that another log counted."""
    known = {row.start: SliceStart(row.start, row.start_stream_time) for row in current_rows(flushed, epochs)}
    known |= {epoch.start: SliceStart(epoch.start, epoch.start_stream_time) for epoch in epochs}
    ours = [known[offset] for offset in sorted(known) if offset >= epochs[0].start]
    return [*_counted_elsewhere(flushed, epochs), *ours]


def usable(places: Sequence[SliceStart], flushed: Flushed, epoch: RulesEpoch) -> list[SliceStart]:
    """Returns the places from which ids of an epoch may be collected: none before its last cut."""
    since = max((cut for cut in cuts(flushed) if cut <= epoch.start), default=0)
    return [place for place in places if place.offset >= since]


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


def _counted_elsewhere(flushed: Flushed, epochs: Sequence[RulesEpoch]) -> list[SliceStart]:
    """Where the ids begin that were counted in the log which this one replaced."""
    row = flushed.replaces
    if row is None or row.start != epochs[0].start or row.collect_start == row.start:
        return []
    return [SliceStart(row.collect_start, row.collect_stream_time)]
