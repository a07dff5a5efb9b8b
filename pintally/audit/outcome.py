"""The outcome of one record, by a recount of its slice. Earlier ids that matter are collected before the slice."""

from dataclasses import dataclass

import numpy as np

from pintally.audit.chain import RulesEpoch, current_rows, epoch_at, epochs_of, follow
from pintally.audit.contract import ACTIONS, Event
from pintally.audit.errors import CannotTell
from pintally.audit.flushed import Flushed, LedgerRow
from pintally.audit.labels import UNKNOWN, digest
from pintally.audit.log import Log, Partition
from pintally.audit.places import beginning, places_of, usable
from pintally.audit.recount import Recount, recounted
from pintally.audit.slices import Outcome, Slice


@dataclass(frozen=True, slots=True)
class Judged:
    """The outcome of a record, and its slice."""

    outcome: Outcome
    stream_time: int  # of the source with this record, ms
    slice_: Slice  # recounted up to `slice_.end`
    epoch: RulesEpoch
    row: LedgerRow | None  # the ledger row of the slice
    position: int  # position of the source

    def labels_of(self, event: Event) -> tuple[str, str]:
        """The surface and the platform under which an event of the slice counts, or would count."""
        if not self.epoch.rules.breakdown:
            return UNKNOWN, UNKNOWN
        surfaces, platforms = self.slice_.cells[0].labels
        return surfaces.name(event.surface), platforms.name(event.platform)

    def is_trusted(self, offset: int) -> bool:
        """Whether the counted record at `offset` is trusted."""
        cells = self.slice_.cells[0]
        return bool(cells.trusted[cells.offsets == offset].any())

    def events_in(self, action: int, minute: int, event: Event, below: int) -> tuple[int, int]:
        """Counted and trusted records in the cell of an event (minute in seconds), below an offset."""
        cells = self.slice_.cells[0]
        actions, minutes, surfaces, platforms, pins = cells.keys
        surface, platform = (np.void(digest(label)) for label in self.labels_of(event))
        own = (actions == action) & (minutes == minute) & (pins == event.pin_id)
        of_record = np.repeat(own & (surfaces == surface) & (platforms == platform), cells.counts)
        trusted = cells.trusted[of_record & (cells.offsets < below)]
        return len(trusted), int(np.count_nonzero(trusted))


def judge(
    log: Log, flushed: Flushed, action: int, at: Partition, offset: int, user_keys: tuple[bytes, ...] = ()
) -> Judged:
    """Recount the slice of the record at `offset`, up to its position in the ledger, and at least up to the record.

    Raises CannotTell if counting began after the record, if Kafka no longer keeps the records that are needed, or if
    there is no record at that offset.
    """
    epochs = epochs_of(flushed)
    epoch = epoch_at(epochs, offset)
    if epoch is None:
        raise CannotTell(f"{flushed}: counting begins at offset {epochs[0].start}", "Earlier records are not counted.")
    rows = current_rows(flushed, epochs)
    places = usable(places_of(flushed, epochs), flushed, epoch)
    wanted = max(place.offset for place in places if epoch.start <= place.offset <= offset)
    begin = beginning(places, at.start, epoch.rules.slice_records, wanted, offset + 1)
    if begin is None:
        raise CannotTell(
            f"{flushed}@{offset}: its slice cannot be recounted, Kafka has deleted the records before {at.start}",
            "Only the dead letters and the counts are left.",
        )
    end = max([offset + 1, *(min(row.position, at.end) for row in rows if row.start <= offset < row.position)])
    recount = Recount(ACTIONS[action], epoch.rules, begin.collect, begin.first.offset, user_keys)
    for slice_ in recounted(log, at, recount, end):
        if slice_.start <= offset < slice_.end:
            index = int(np.searchsorted(slice_.offsets, offset))
            if index == len(slice_.offsets) or slice_.offsets[index] != offset:
                raise CannotTell(
                    f"{flushed}@{offset}: there is no record", "It was aborted, or it is the marker of a transaction."
                )
            row = next((row for row in rows if row.start == slice_.start), None)
            position = follow(flushed, epochs)[0]
            outcome, stream_time = Outcome(int(slice_.outcomes[index])), int(slice_.stream_times[index])
            return Judged(outcome, stream_time, slice_, epoch, row, position)
    raise CannotTell(
        f"{flushed}@{offset}: no slice holds it", "Run `pintally verify`: the ledger and the log do not fit."
    )
