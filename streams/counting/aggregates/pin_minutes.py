"""Pin-minutes: how many counted records of a slice each cell has, and how many of them are trusted (C29, C30).

A cell is a pin and a place: minute, surface and platform in one number. Counted records are buffered first;
`merge_buffer` sorts the buffer and merges it into the columns. A cell takes 25 bytes: a key made of place and pin, by
which the columns are sorted, the place, two counts, and its flush state.

One key of 64 bits sorts in 67 ns a record, minute and pin by np.lexsort in 114 (250,000 records, two busy cores).
"""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import CellRows, PinMinuteRows
from pintally.schemas.label_column import LabelColumn
from pintally.schemas.rules import Rules
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.streams.counting.aggregates import marks
from pintally.streams.counting.aggregates.aggregate import SliceVersion
from pintally.streams.counting.aggregates.cell_loops import (
    LABEL_BITS,
    MINUTE_SHIFT,
    Cells,
    add_to_known,
    count_known,
    merge_cells,
    read_places,
    sum_records,
)
from pintally.streams.counting.aggregates.slice_labels import SliceLabels
from pintally.streams.counting.aggregates.user_counts import UserCounts, give_back, take_table
from pintally.streams.counting.outcomes import Judged

BUFFER_RECORDS: Final = 1 << 16  # of 17 bytes; a larger buffer gained nothing measurable
INITIAL_BUFFER: Final = 256  # records
GOLDEN: Final = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples lie far apart
LABEL: Final = np.uint64((1 << LABEL_BITS) - 1)


class PinMinutes:
    """The pin-minutes of one slice, and which of them are not flushed; see Aggregate."""

    rows: ClassVar[type[CellRows]] = PinMinuteRows

    def __init__(self, rules: Rules, check_sum: int = 0, keys: UserKeys = NO_KEYS) -> None:  # noqa: ARG002
        self.sum = check_sum  # over all counts, without the buffered records
        self.pending = 0  # cells that are dirty or in flight; each buffered record is taken for one
        self._breakdown, self._cap = rules.breakdown, rules.trusted_cap
        self._surfaces, self._platforms = SliceLabels(), SliceLabels()
        self._users: UserCounts | None = None  # while records are added, and there is a cap
        self._multiplier = GOLDEN
        self._cells = Cells.of(0)
        self._buffered = 0
        self._make_buffer(0)

    @classmethod
    def is_counted(cls, rules: Rules) -> bool:  # noqa: ARG003
        """They always are."""
        return True

    def __len__(self) -> int:
        """The number of cells, without the buffered records."""
        return len(self._cells.keys)

    @property
    def nbytes(self) -> int:
        """Bytes of the columns, of the buffer, and of the table of users."""
        buffer = (self._buffered_places, self._buffered_pins, self._buffered_trusted)
        users = 0 if self._users is None else self._users.nbytes
        return sum(column.nbytes for column in (*self._cells, *buffer)) + users

    def add(self, judged: Judged, at: NDArray[np.intp]) -> None:
        """Count the records at these indexes of a chunk."""
        n, end = len(at), self._buffered + len(at)
        if not n:
            return
        if end > len(self._buffered_pins):
            self._grow_buffer(end)
        new = slice(self._buffered, end)
        self._buffered_pins[new] = judged.decoded.pin_id[at]
        self._read_places(judged, at, self._buffered_places[new])
        if self._cap:
            if self._users is None:
                self._users = take_table()
            pair = judged.decoded.user_id, judged.decoded.pin_id
            self._users.add(*pair, at, self._cap, self._buffered_trusted[new])
            judged.trusted[at] = self._buffered_trusted[new]
        self._buffered = end
        self.pending += n
        if end >= BUFFER_RECORDS:
            self.merge_buffer()

    def take_dirty(self, at: SliceVersion) -> PinMinuteRows:
        """Take the dirty cells, which are in flight from now on."""
        self.merge_buffer()
        at_dirty = marks.take(self._cells.marks)
        dirty, n = self._cells.at(at_dirty), len(at_dirty)
        places = dirty.places
        surface, platform = places >> np.uint64(LABEL_BITS) & LABEL, places & LABEL
        columns: dict[str, Any] = at.columns(n)
        return PinMinuteRows(
            **columns,
            action=np.full(n, at.action, np.uint8),
            minute=(places >> np.uint64(MINUTE_SHIFT)).astype(np.uint32) * np.uint32(60),
            pin_id=dirty.keys ^ self._spread(places),
            surface=LabelColumn(surface.astype(np.uint32), self._surfaces.labels),
            platform=LabelColumn(platform.astype(np.uint32), self._platforms.labels),
            events=dirty.counts.astype(np.uint64),
            trusted=dirty.trusted.astype(np.uint64),
        )

    def mark_flushed(self) -> None:
        """The sink has what was in flight. Cells that changed meanwhile stay dirty."""
        self.merge_buffer()
        self.pending = marks.settle(self._cells.marks)

    def merge_back(self) -> None:
        """The flush failed: what was in flight is dirty again. Its counts are the newest, because they never left."""
        marks.take_back(self._cells.marks)

    def end(self) -> None:
        """The slice has ended: give back the buffer, and what only adding needs."""
        self.merge_buffer()
        self._make_buffer(0)
        self._surfaces.end()
        self._platforms.end()
        if self._users is not None:
            give_back(self._users)
            self._users = None

    def merge_buffer(self) -> None:
        """Merge the buffered records into the columns."""
        if self._buffered:
            while not self._merge():
                self._rehash()
            self.sum += self._buffered
            self._buffered = 0
            self.pending = int(np.count_nonzero(self._cells.marks))

    def _make_buffer(self, size: int) -> None:
        self._buffered_places, self._buffered_pins = np.empty(size, np.uint64), np.empty(size, np.uint64)
        self._buffered_trusted = np.ones(size, np.bool_)

    def _grow_buffer(self, needed: int) -> None:
        old, n = (self._buffered_places, self._buffered_pins, self._buffered_trusted), self._buffered
        self._make_buffer(max(INITIAL_BUFFER, 1 << (needed - 1).bit_length()))
        self._buffered_places[:n], self._buffered_pins[:n], self._buffered_trusted[:n] = (each[:n] for each in old)

    def _read_places(self, judged: Judged, at: NDArray[np.intp], places: NDArray[np.uint64]) -> None:
        """The places of the records at these indexes of a chunk."""
        if not self._breakdown:  # number 0 is `unknown`
            places[:] = judged.minutes[at] << MINUTE_SHIFT
            return
        decoded, done = judged.decoded, 0
        self._surfaces.follow(decoded.labels)
        self._platforms.follow(decoded.labels)
        while True:
            known = self._surfaces.known, self._platforms.known
            done = read_places(at, judged.minutes, decoded.surface, decoded.platform, *known, done, places)
            if done == len(at):
                return
            self._surfaces.learn(decoded.surface[at[done:]])
            self._platforms.learn(decoded.platform[at[done:]])

    def _spread(self, places: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """64 bits of each place: the key of a cell is its pin XOR these, and its pin is the key XOR these."""
        return places * np.uint64(self._multiplier)

    def _rehash(self) -> None:
        """Spread the places by another multiplier: two cells have the same key.

        A collision of 64 bits: about one in 10^9 slices, or input that was made for it.
        """
        pins = self._cells.keys ^ self._spread(self._cells.places)
        self._multiplier = self._multiplier * GOLDEN * GOLDEN % 2**64  # stays odd
        keys = pins ^ self._spread(self._cells.places)
        self._cells = self._cells._replace(keys=keys).at(np.argsort(keys))

    def _merge(self) -> bool:
        """Merge the buffer into the columns; returns False, with nothing done, if two cells have the same key."""
        n = self._buffered
        places, trusted = self._buffered_places[:n], self._buffered_trusted[:n]
        keys, new = self._buffered_pins[:n] ^ self._spread(places), Cells.of(n)
        found = sum_records(np.argsort(keys), keys, places, trusted, new)
        if found < 0:
            return False
        new = new.at(slice(found))
        known = count_known(self._cells, new)
        if known < 0:
            return False
        if known == found:
            add_to_known(self._cells, new)
        else:
            merged = Cells.of(len(self) + found - known)
            merge_cells(self._cells, new, merged)
            self._cells = merged
        return True
