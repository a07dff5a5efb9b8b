"""The cells of one slice: how many counted records each (minute, pin) has.

Counted records are only noted at first; `settle` sorts what was noted and adds it to the columns. A cell takes 17
bytes: a key from minute and pin, by which the columns are sorted, the minute, the count, and what the sink knows of it.

One key of 64 bits sorts in 67 ns a record, minute and pin by np.lexsort in 114 (250,000 records, two busy cores).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SETTLE_AT: Final = 1 << 16  # notes, of 12 bytes; more of them gained nothing beyond the noise
FIRST_NOTES: Final = 256
GOLDEN: Final = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples lie far apart

DIRTY: Final = np.uint8(1)  # changed since it was last taken out
IN_FLIGHT: Final = np.uint8(2)  # taken out, no answer yet


@dataclass(frozen=True, slots=True)
class CellColumns:
    """Cells with their absolute counts."""

    minute: NDArray[np.uint32]  # minutes since 1970
    pin_id: NDArray[np.uint64]
    count: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.count)


class Cells:
    """The cells of one slice, and which of them the sink does not know."""

    def __init__(self) -> None:
        self.sum = 0  # over all counts
        self.pending = 0  # cells dirty or in flight; until settled, each note is taken for a cell
        self._multiplier = GOLDEN
        self._keys = np.empty(0, np.uint64)
        self._minutes = np.empty(0, np.uint32)
        self._counts = np.empty(0, np.uint32)
        self._marks = np.empty(0, np.uint8)
        self._noted = 0
        self._noted_minutes = np.empty(0, np.uint32)
        self._noted_pins = np.empty(0, np.uint64)

    def __len__(self) -> int:
        """Cells, as far as they are settled."""
        return len(self._keys)

    @property
    def nbytes(self) -> int:
        """Bytes of the columns and of the notes."""
        columns = (self._keys, self._minutes, self._counts, self._marks, self._noted_minutes, self._noted_pins)
        return sum(column.nbytes for column in columns)

    def add(self, minutes: NDArray[np.int64], pins: NDArray[np.uint64]) -> None:
        """Count one record each of these minutes (since 1970) and pins."""
        n, end = len(pins), self._noted + len(pins)
        if end > len(self._noted_pins):
            self._make_room(end)
        self._noted_minutes[self._noted : end] = minutes
        self._noted_pins[self._noted : end] = pins
        self._noted = end
        self.pending += n
        if end >= SETTLE_AT:
            self.settle()

    def take_dirty(self) -> CellColumns:
        """The dirty cells, which are in flight from now on."""
        self.settle()
        at = np.flatnonzero(self._marks & DIRTY)
        self._marks[at] = IN_FLIGHT
        minutes = self._minutes[at]
        return CellColumns(minutes, self._keys[at] ^ self._spread(minutes), self._counts[at])

    def land(self) -> None:
        """The sink knows what was in flight; what changed meanwhile stays dirty."""
        self.settle()
        self._marks &= DIRTY
        self.pending = int(np.count_nonzero(self._marks))

    def merge_back(self) -> None:
        """What was in flight is dirty again; its counts are the newest, since they never left."""
        self._marks |= self._marks >> 1
        self._marks &= DIRTY

    def settle(self, end: bool = False) -> None:
        """Add the notes to the columns. At the `end` of a slice their memory is given back."""
        if self._noted:
            while not self._apply(self._noted_minutes[: self._noted], self._noted_pins[: self._noted]):
                self._spread_anew()
            self.sum += self._noted
            self._noted = 0
            self.pending = int(np.count_nonzero(self._marks))
        if end:
            self._noted_minutes, self._noted_pins = np.empty(0, np.uint32), np.empty(0, np.uint64)

    def _make_room(self, needed: int) -> None:
        size = max(FIRST_NOTES, 1 << (needed - 1).bit_length())
        minutes, pins = np.empty(size, np.uint32), np.empty(size, np.uint64)
        minutes[: self._noted] = self._noted_minutes[: self._noted]
        pins[: self._noted] = self._noted_pins[: self._noted]
        self._noted_minutes, self._noted_pins = minutes, pins

    def _spread(self, minutes: NDArray[np.uint32]) -> NDArray[np.uint64]:
        """64 bits of each minute. A pin XOR these is the cell's key, and the key XOR these the pin again."""
        return minutes * np.uint64(self._multiplier)

    def _spread_anew(self) -> None:
        """Two cells met in one key, once in 10^9 slices unless somebody is at pains: take other bits of the minute."""
        pins = self._keys ^ self._spread(self._minutes)
        self._multiplier = self._multiplier * GOLDEN * GOLDEN % 2**64  # stays odd
        keys = pins ^ self._spread(self._minutes)
        order = np.argsort(keys)
        self._keys = keys[order]
        self._minutes, self._counts, self._marks = self._minutes[order], self._counts[order], self._marks[order]

    def _apply(self, noted_minutes: NDArray[np.uint32], noted_pins: NDArray[np.uint64]) -> bool:
        """Add the notes to the columns; False, with nothing done, if two cells have the same key."""
        keys = noted_pins ^ self._spread(noted_minutes)
        order = np.argsort(keys)
        keys, minutes = keys[order], noted_minutes[order]
        first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        starts = minutes[first]
        counts = np.diff(first, append=len(keys))
        if not np.array_equal(np.repeat(starts, counts), minutes):
            return False
        keys = keys[first]
        at = np.searchsorted(self._keys, keys)
        known = np.zeros(len(keys), np.bool_)
        inside = at < len(self._keys)
        known[inside] = self._keys[at[inside]] == keys[inside]
        old = at[known]
        if not np.array_equal(self._minutes[old], starts[known]):
            return False
        self._counts[old] += counts[known].astype(np.uint32)
        self._marks[old] |= DIRTY
        new = ~known
        if new.any():
            self._insert(at[new], keys[new], starts[new], counts[new].astype(np.uint32))
        return True

    def _insert(
        self, at: NDArray[np.intp], keys: NDArray[np.uint64], minutes: NDArray[np.uint32], counts: NDArray[np.uint32]
    ) -> None:
        """New cells, dirty, before the old ones at these places: one mask for all columns, np.insert makes one each."""
        at = at + np.arange(len(at))
        old = np.ones(len(self._keys) + len(at), np.bool_)
        old[at] = False

        def joined(column: NDArray[Any], new: NDArray[Any] | np.uint8) -> NDArray[Any]:
            both = np.empty(len(old), column.dtype)
            both[at] = new
            both[old] = column
            return both

        self._keys, self._minutes = joined(self._keys, keys), joined(self._minutes, minutes)
        self._counts, self._marks = joined(self._counts, counts), joined(self._marks, DIRTY)
