"""The loops of pin-minutes, compiled: from records to their places, and from sorted records to cells."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.jit import (
    FLAGS,
    MARKS,
    NOTHING,
    NUMBER,
    PLACES,
    SLOTS,
    UNSIGNEDS,
    compiled,
    inlined,
    named,
)
from pintally.streams.counting.aggregates.marks import DIRTY, SOURCE, Marks
from pintally.streams.counting.aggregates.slice_labels import NEW

LABEL_BITS: Final = 9  # of a place, for the number of a surface, and as many for that of a platform
MINUTE_SHIFT: Final = 2 * LABEL_BITS

Words = NDArray[np.uint64]
Numbers = NDArray[np.uint32]
_NEW: Final = int(NEW)


class Cells(NamedTuple):
    """Cells in columns, sorted by key. The key of a cell is made of its place and pin."""

    keys: Words
    places: Words  # minute since 1970, number of the surface, number of the platform
    counts: Numbers
    trusted: Numbers
    marks: Marks

    @classmethod
    def of(cls, n: int) -> "Cells":
        """Room for n cells."""
        keys, places = np.empty(n, np.uint64), np.empty(n, np.uint64)
        counts, trusted = np.empty(n, np.uint32), np.empty(n, np.uint32)
        return cls(keys, places, counts, trusted, np.empty(n, np.uint8))

    def at(self, at: "NDArray[Any] | slice") -> "Cells":
        """The cells at these indexes."""
        return Cells(self.keys[at], self.places[at], self.counts[at], self.trusted[at], self.marks[at])


CELLS: Final = named(Cells, UNSIGNEDS, UNSIGNEDS, SLOTS, SLOTS, MARKS)


@inlined
def _copy(cells: Cells, i: int, to: Cells, n: int) -> None:
    to.keys[n], to.places[n], to.marks[n] = cells.keys[i], cells.places[i], cells.marks[i]
    to.counts[n], to.trusted[n] = cells.counts[i], cells.trusted[i]


@compiled(NUMBER, PLACES, PLACES, SLOTS, SLOTS, SLOTS, SLOTS, NUMBER, UNSIGNEDS, allocates=False)
def read_places(
    records: NDArray[np.intp],
    minutes: NDArray[np.int64],
    surface: Numbers,
    platform: Numbers,
    surfaces: Numbers,
    platforms: Numbers,
    first: int,
    places: Words,
) -> int:
    """Write the places of the records at these indexes of a chunk, from the `first` of them on, until a label is new.

    `surfaces` and `platforms` are SliceLabels.known. Returns how many places are written.
    """
    for i in range(first, len(records)):
        record = records[i]
        a, b = np.int64(surface[record]), np.int64(platform[record])
        if a >= len(surfaces) or b >= len(platforms):
            return i
        a, b = np.int64(surfaces[a]), np.int64(platforms[b])
        if a == _NEW or b == _NEW:
            return i
        places[i] = np.uint64(minutes[record] << MINUTE_SHIFT | a << LABEL_BITS | b)
    return len(records)


@compiled(NUMBER, PLACES, UNSIGNEDS, UNSIGNEDS, FLAGS, CELLS, allocates=False, sources=[SOURCE])
def sum_records(order: NDArray[np.intp], keys: Words, places: Words, trusted: NDArray[np.bool_], cells: Cells) -> int:
    """Sum records, read in the order of their keys, to dirty cells. Returns how many; -1 if two have one key."""
    n = 0
    for record in order:
        key, place = keys[record], places[record]
        if n == 0 or cells.keys[n - 1] != key:
            cells.keys[n], cells.places[n], cells.marks[n] = key, place, DIRTY
            cells.counts[n] = cells.trusted[n] = 0
            n += 1
        elif cells.places[n - 1] != place:
            return -1
        cells.counts[n - 1] += 1
        cells.trusted[n - 1] += trusted[record]
    return n


@compiled(NUMBER, CELLS, CELLS, allocates=False)
def count_known(cells: Cells, new: Cells) -> int:
    """How many of the new cells are among the cells; -1 if two cells have one key. Both are sorted."""
    i = j = known = 0
    others = False
    while i < len(cells.keys) and j < len(new.keys):
        one, other = cells.keys[i], new.keys[j]
        same = one == other
        known += same
        others |= same and cells.places[i] != new.places[j]
        i += one <= other
        j += other <= one
    return -1 if others else known


@compiled(NOTHING, CELLS, CELLS, CELLS, allocates=False)
def merge_cells(cells: Cells, new: Cells, merged: Cells) -> None:
    """Write all cells to `merged`, which is exactly as long; where both have one, their counts are added.

    Without a branch that depends on the keys: which list the next one is from is chance.
    """
    i = j = n = 0
    while i < len(cells.keys) and j < len(new.keys):
        one, other = cells.keys[i], new.keys[j]
        first, second = np.uint32(one <= other), np.uint32(other <= one)
        merged.keys[n] = min(one, other)
        merged.places[n] = cells.places[i] if first else new.places[j]
        merged.counts[n] = cells.counts[i] * first + new.counts[j] * second
        merged.trusted[n] = cells.trusted[i] * first + new.trusted[j] * second
        merged.marks[n] = cells.marks[i] * first | new.marks[j] * second
        i += one <= other
        j += other <= one
        n += 1
    for k in range(i, len(cells.keys)):
        _copy(cells, k, merged, n + k - i)
    for k in range(j, len(new.keys)):
        _copy(new, k, merged, n + k - j)


@compiled(NOTHING, CELLS, CELLS, allocates=False, sources=[SOURCE])
def add_to_known(cells: Cells, new: Cells) -> None:
    """Add the new cells to the cells, among which they all are."""
    i = 0
    for j in range(len(new.keys)):
        while cells.keys[i] != new.keys[j]:
            i += 1
        cells.counts[i] += new.counts[j]
        cells.trusted[i] += new.trusted[j]
        cells.marks[i] |= DIRTY
