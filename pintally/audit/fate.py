"""The fate of one record, by a recount of its slice; ids that matter to it are collected from before the slice."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pintally.audit.chain import Reign, cuts, follow, held, ruled_by
from pintally.audit.contract import ACTIONS
from pintally.audit.emitted import Emitted, LedgerRow
from pintally.audit.errors import CannotTell
from pintally.audit.log import Log, Partition
from pintally.audit.places import beginning, counted_elsewhere
from pintally.audit.recount import Fate, Place, Recount, Slice, cell_key


@dataclass(frozen=True, slots=True)
class Judged:
    """A record in its slice."""

    fate: Fate
    clock: int  # of the source with this record, ms
    slice_: Slice  # recounted up to `slice_.end`
    reign: Reign
    row: LedgerRow | None  # the ledger row of the slice
    position: int  # how far the whole source is recorded

    def events_in(self, minute: int, pin: int, below: int) -> int:
        """Counted records of the slice in this cell (minute in seconds) below an offset that the recount reached."""
        key, counted = cell_key(minute, pin), self.slice_.counted
        return bisect_left(counted, key + below) - bisect_left(counted, key)


def judge(log: Log, emitted: Emitted, action: int, at: Partition, offset: int) -> Judged:
    """Recount the slice of the record at `offset`, as far as the ledger has recorded it, and to the record at least.

    Raises CannotTell if counting began after the record, if Kafka no longer keeps what the recount needs, or if there
    is no record at that offset.
    """
    ruled = ruled_by(emitted)
    reign = next((each for each in reversed(ruled) if each.start <= offset), None)
    if reign is None:
        raise CannotTell(f"{emitted}: counting begins at offset {ruled[0].start}", "What lies before is not counted.")
    rows = held(emitted, ruled)
    since = max((cut for cut in cuts(emitted) if cut <= reign.start), default=0)
    places = [*counted_elsewhere(emitted, ruled), *_places(rows, ruled)]
    places = [place for place in places if place.offset >= since]
    wanted = max(place.offset for place in places if reign.start <= place.offset <= offset)
    begin = beginning(places, at.start, reign.rules.slice_records, wanted, offset + 1)
    if begin is None:
        raise CannotTell(
            f"{emitted}@{offset}: its slice cannot be recounted, Kafka has deleted what lies before {at.start}",
            "The dead letters and the counts are all that is left.",
        )
    end = max([offset + 1, *(min(row.position, at.end) for row in rows if row.start <= offset < row.position)])
    recount = Recount(ACTIONS[action], reign.rules, begin.collect, begin.first.offset)
    for slice_ in _slices(log, at, recount, end):
        if slice_.start <= offset < slice_.end:
            index = bisect_left(slice_.offsets, offset)
            if index == len(slice_.offsets) or slice_.offsets[index] != offset:
                raise CannotTell(
                    f"{emitted}@{offset}: there is no record", "It was aborted, or it marks a transaction."
                )
            row = next((row for row in rows if row.start == slice_.start), None)
            position = follow(emitted, ruled)[0]
            return Judged(Fate(slice_.fates[index]), slice_.clocks[index], slice_, reign, row, position)
    raise CannotTell(f"{emitted}@{offset}: no slice holds it", "Run verify: the ledger and the log do not fit.")


def _places(rows: Sequence[LedgerRow], ruled: Sequence[Reign]) -> list[Place]:
    known = {row.start: Place(row.start, row.start_clock) for row in rows}
    known |= {reign.start: Place(reign.start, reign.start_clock) for reign in ruled}
    return [known[offset] for offset in sorted(known) if offset >= ruled[0].start]


def _slices(log: Log, at: Partition, recount: Recount, end: int) -> Iterator[Slice]:
    for piece in log.read(at.topic, at.partition, recount.position):
        yield from recount.feed(piece, end)
        if recount.position >= end:
            break
    yield from recount.finish()
