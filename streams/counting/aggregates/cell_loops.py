"""The loops of pin-minutes, compiled: from records to their places, and from sorted records to cells."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.jit import FLAGS, NUMBER, PLACES, SLOTS, UNSIGNEDS, compiled
from pintally.streams.counting.aggregates.slice_labels import NEW

LABEL_BITS: Final = 9  # of a place, for the number of a surface, and as many for that of a platform
MINUTE_SHIFT: Final = 2 * LABEL_BITS

Words = NDArray[np.uint64]
Numbers = NDArray[np.uint32]
_NEW: Final = int(NEW)


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


@compiled(NUMBER, PLACES, UNSIGNEDS, UNSIGNEDS, FLAGS, UNSIGNEDS, UNSIGNEDS, SLOTS, SLOTS, allocates=False)
def sum_records(
    order: NDArray[np.intp],
    keys: Words,
    places: Words,
    trusted: NDArray[np.bool_],
    cell_keys: Words,
    cell_places: Words,
    counts: Numbers,
    trusted_counts: Numbers,
) -> int:
    """Sum records, read in the order of their keys, to cells. Returns the number of cells; -1 if two have one key."""
    n = 0
    for record in order:
        key, place = keys[record], places[record]
        if n == 0 or cell_keys[n - 1] != key:
            cell_keys[n], cell_places[n], counts[n], trusted_counts[n] = key, place, 0, 0
            n += 1
        elif cell_places[n - 1] != place:
            return -1
        counts[n - 1] += 1
        trusted_counts[n - 1] += trusted[record]
    return n
