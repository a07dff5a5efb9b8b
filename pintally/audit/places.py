"""Where a recount may begin when it cannot, or need not, begin at the beginning."""

from collections.abc import Sequence
from typing import NamedTuple

from pintally.audit.chain import RulesEpoch
from pintally.audit.flushed import Flushed
from pintally.audit.recount import SliceStart
from pintally.audit.rules import ARRIVAL_BUCKET_MS


class Beginning(NamedTuple):
    """Read from `collect` on, for the ids alone; count from `first` on."""

    collect: SliceStart
    first: SliceStart


def counted_elsewhere(flushed: Flushed, epochs: Sequence[RulesEpoch]) -> list[SliceStart]:
    """Where the ids begin of records that were counted in the log whose place this one took."""
    row = flushed.replaces
    if row is None or row.start != epochs[0].start or row.collect_start == row.start:
        return []
    return [SliceStart(row.collect_start, row.collect_stream_time)]


def beginning(
    places: Sequence[SliceStart], log_start: int, slice_records: int, wanted: int, limit: int
) -> Beginning | None:
    """The earliest slice start in [wanted, limit) from which all can be recounted, and where its ids begin.

    `places` are slice starts with their stream times, ascending; before the first of them nothing was ever counted. A
    record matters to later ones while their block and their bucket are its own or the next; so a place will do if all
    before it is two blocks or two buckets away. None: the log begins (at `log_start`) too late for any.
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
    """Whether every record before `place` is too far away to have its id matter at `first` or later."""
    blocks_away = first.offset // slice_records - (place.offset - 1) // slice_records
    buckets_away = first.stream_time // ARRIVAL_BUCKET_MS - place.stream_time // ARRIVAL_BUCKET_MS
    return blocks_away >= 2 or buckets_away >= 2
