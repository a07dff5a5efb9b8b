"""Pin-minutes: how many counted records of a slice each (minute, pin) has.

Counted records are buffered first; `merge_buffer` sorts the buffer and merges it into the columns. A cell takes 17
bytes: a key made of minute and pin, by which the columns are sorted, the minute, the count, and its flush state.

One key of 64 bits sorts in 67 ns a record, minute and pin by np.lexsort in 114 (250,000 records, two busy cores).
"""

from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import CellRows, PinMinuteRows
from pintally.schemas.label_column import UNKNOWN, LabelColumn
from pintally.streams.counting.aggregates.aggregate import SliceVersion
from pintally.streams.counting.outcomes import Judged

BUFFER_RECORDS: Final = 1 << 16  # of 12 bytes; a larger buffer gained nothing measurable
INITIAL_BUFFER: Final = 256  # records
GOLDEN: Final = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples lie far apart

DIRTY: Final = np.uint8(1)  # changed since it was last taken for a flush
IN_FLIGHT: Final = np.uint8(2)  # taken for a flush that is not answered yet


class PinMinutes:
    """The pin-minutes of one slice, and which of them are not flushed; see Aggregate."""

    rows: ClassVar[type[CellRows]] = PinMinuteRows

    def __init__(self, check_sum: int = 0) -> None:
        self.sum = check_sum  # over all counts, without the buffered records
        self.pending = 0  # cells that are dirty or in flight; each buffered record is taken for one
        self._multiplier = GOLDEN
        self._keys = np.empty(0, np.uint64)
        self._minutes = np.empty(0, np.uint32)
        self._counts = np.empty(0, np.uint32)
        self._marks = np.empty(0, np.uint8)
        self._buffered = 0
        self._buffered_minutes = np.empty(0, np.uint32)
        self._buffered_pins = np.empty(0, np.uint64)

    def __len__(self) -> int:
        """The number of cells, without the buffered records."""
        return len(self._keys)

    @property
    def nbytes(self) -> int:
        """Bytes of the columns and of the buffer."""
        columns = (self._keys, self._minutes, self._counts, self._marks, self._buffered_minutes, self._buffered_pins)
        return sum(column.nbytes for column in columns)

    def add(self, judged: Judged, at: NDArray[np.intp]) -> None:
        """Count the records at these indexes of a chunk."""
        n, end = len(at), self._buffered + len(at)
        if end > len(self._buffered_pins):
            self._grow_buffer(end)
        self._buffered_minutes[self._buffered : end] = judged.minutes[at]
        self._buffered_pins[self._buffered : end] = judged.decoded.pin_id[at]
        self._buffered = end
        self.pending += n
        if end >= BUFFER_RECORDS:
            self.merge_buffer()

    def take_dirty(self, at: SliceVersion) -> PinMinuteRows:
        """Take the dirty cells, which are in flight from now on."""
        self.merge_buffer()
        dirty = np.flatnonzero(self._marks & DIRTY)
        self._marks[dirty] = IN_FLIGHT
        minutes, n = self._minutes[dirty], len(dirty)
        columns: dict[str, Any] = at.columns(n)
        events = self._counts[dirty].astype(np.uint64)
        return PinMinuteRows(
            **columns,
            action=np.full(n, at.action, np.uint8),
            minute=minutes * np.uint32(60),
            pin_id=self._keys[dirty] ^ self._spread(minutes),
            surface=LabelColumn.repeat(UNKNOWN, n),
            platform=LabelColumn.repeat(UNKNOWN, n),
            events=events,
            trusted=events,
        )

    def mark_flushed(self) -> None:
        """The sink has what was in flight. Cells that changed meanwhile stay dirty."""
        self.merge_buffer()
        self._marks &= DIRTY
        self.pending = int(np.count_nonzero(self._marks))

    def merge_back(self) -> None:
        """The flush failed: what was in flight is dirty again. Its counts are the newest, because they never left."""
        self._marks |= self._marks >> 1
        self._marks &= DIRTY

    def end(self) -> None:
        """The slice has ended: give back the buffer."""
        self.merge_buffer()
        self._buffered_minutes, self._buffered_pins = np.empty(0, np.uint32), np.empty(0, np.uint64)

    def merge_buffer(self) -> None:
        """Merge the buffered records into the columns."""
        if self._buffered:
            while not self._merge(self._buffered_minutes[: self._buffered], self._buffered_pins[: self._buffered]):
                self._rehash()
            self.sum += self._buffered
            self._buffered = 0
            self.pending = int(np.count_nonzero(self._marks))

    def _grow_buffer(self, needed: int) -> None:
        size = max(INITIAL_BUFFER, 1 << (needed - 1).bit_length())
        minutes, pins = np.empty(size, np.uint32), np.empty(size, np.uint64)
        minutes[: self._buffered] = self._buffered_minutes[: self._buffered]
        pins[: self._buffered] = self._buffered_pins[: self._buffered]
        self._buffered_minutes, self._buffered_pins = minutes, pins

    def _spread(self, minutes: NDArray[np.uint32]) -> NDArray[np.uint64]:
        """64 bits of each minute: the key of a cell is its pin XOR these, and its pin is the key XOR these."""
        return minutes * np.uint64(self._multiplier)

    def _rehash(self) -> None:
        """Spread the minutes by another multiplier: two cells have the same key.

        A collision of 64 bits: about one in 10^9 slices, or input that was made for it.
        """
        pins = self._keys ^ self._spread(self._minutes)
        self._multiplier = self._multiplier * GOLDEN * GOLDEN % 2**64  # stays odd
        keys = pins ^ self._spread(self._minutes)
        order = np.argsort(keys)
        self._keys = keys[order]
        self._minutes, self._counts, self._marks = self._minutes[order], self._counts[order], self._marks[order]

    def _merge(self, records_minutes: NDArray[np.uint32], records_pins: NDArray[np.uint64]) -> bool:
        """Merge records into the columns; returns False, with nothing done, if two cells have the same key."""
        keys = records_pins ^ self._spread(records_minutes)
        order = np.argsort(keys)
        keys, minutes = keys[order], records_minutes[order]
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
        """Insert new cells, dirty, before the old ones at these places.

        One mask serves all columns; np.insert makes one for each.
        """
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
