"""The loop of experiment cells, compiled: from the arms of records to counts."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.schemas import experiments
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
from pintally.schemas.experiments import BUCKETS, FIRST_FACTOR, SALT, SECOND_FACTOR
from pintally.schemas.rules import HOUR_MS
from pintally.streams.counting.aggregates import slice_arms
from pintally.streams.counting.aggregates.marks import DIRTY, SOURCE
from pintally.streams.counting.aggregates.slice_arms import IGNORED, KNOWN_ARMS, KnownArms, slot_of

BUCKET_BITS: Final = 8  # of a place
ARM_BITS: Final = 9  # for the number of a pair
HOUR_SHIFT: Final = BUCKET_BITS + ARM_BITS
SPARE: Final = 4  # slots a cell
CELLS, PENDING, SUM = 0, 1, 2  # of a state

Words = NDArray[np.uint64]
Numbers = NDArray[np.uint32]
Places = NDArray[np.int64]
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_SALT, _FIRST, _SECOND = np.uint64(SALT), np.uint64(FIRST_FACTOR), np.uint64(SECOND_FACTOR)
_SHIFT: Final = np.uint64(33)
_BUCKET: Final = np.uint64(BUCKETS - 1)
_FREE: Final = np.uint64(0)


class Arms(NamedTuple):
    """What a chunk says: a record's arms are offsets[i] to offsets[i + 1] of `pairs`."""

    occurred_at: Places  # ms
    users: Words
    trusted: NDArray[np.bool_]
    offsets: Places
    pairs: Words


class Cells(NamedTuple):
    """Room for cells in columns, in the order in which they came; and the slots that find them by their place."""

    places: Words  # hour since 1970, number of the pair, bucket
    counts: Numbers
    trusted: Numbers
    marks: NDArray[np.uint8]
    slots: Numbers  # index + 1 of a cell; 0 is free

    @classmethod
    def of(cls, room: int) -> "Cells":
        """Room for so many cells, a power of two."""
        counts, trusted, marks = np.empty(room, np.uint32), np.empty(room, np.uint32), np.zeros(room, np.uint8)
        return cls(np.empty(room, np.uint64), counts, trusted, marks, np.zeros(SPARE * room, np.uint32))

    def first(self, n: int) -> "Cells":
        """The first n cells alone, without slots: none can be found or added any more."""
        columns = self.places[:n].copy(), self.counts[:n].copy(), self.trusted[:n].copy(), self.marks[:n].copy()
        return Cells(*columns, np.zeros(1, np.uint32))

    def with_room(self, room: int, n: int) -> "Cells":
        """The first n cells, and room for more."""
        found = Cells.of(room)
        found.places[:n], found.counts[:n] = self.places[:n], self.counts[:n]
        found.trusted[:n], found.marks[:n] = self.trusted[:n], self.marks[:n]
        find_slots(found, n)
        return found


ARMS: Final = named(Arms, PLACES, UNSIGNEDS, FLAGS, PLACES, UNSIGNEDS)
CELLS_TYPE: Final = named(Cells, UNSIGNEDS, SLOTS, SLOTS, MARKS, SLOTS)


@inlined
def _bucket(user: np.uint64) -> np.uint64:
    """See schemas.experiments.bucket_of."""
    word = user ^ _SALT
    word = (word ^ word >> _SHIFT) * _FIRST
    word = (word ^ word >> _SHIFT) * _SECOND
    return (word ^ word >> _SHIFT) & _BUCKET


@inlined
def _find(cells: Cells, place: np.uint64) -> np.int64:
    """The slot that has the cell of a place, or the first free one."""
    mask = np.int64(len(cells.slots) - 1)
    at = np.int64(place * _GOLDEN >> np.uint64(32)) & mask
    while cells.slots[at] and cells.places[cells.slots[at] - 1] != place:
        at = (at + 1) & mask
    return at


@inlined
def _count(cells: Cells, state: Places, place: np.uint64, trusted: bool) -> None:
    at = _find(cells, place)
    if not cells.slots[at]:
        new = state[CELLS]
        cells.places[new], cells.counts[new], cells.trusted[new], cells.marks[new] = place, 0, 0, 0
        state[CELLS] += 1
        cells.slots[at] = np.uint32(state[CELLS])
    cell = cells.slots[at] - 1
    cells.counts[cell] += np.uint32(1)
    cells.trusted[cell] += np.uint32(trusted)
    state[PENDING] += cells.marks[cell] == 0
    state[SUM] += 1
    cells.marks[cell] |= DIRTY


@compiled(
    NUMBER, PLACES, NUMBER, ARMS, KNOWN_ARMS, CELLS_TYPE, PLACES, SLOTS,
    allocates=False, sources=[slice_arms.__file__, experiments.__file__, SOURCE],
)  # fmt: skip
def count_arms(
    records: Places, first: int, arms: Arms, known: KnownArms, cells: Cells, state: Places, numbers: Numbers
) -> int:
    """Count the records at these indexes of a chunk, from the `first` of them on, until a pair is new or room is short.

    `state` holds how many cells there are, how many of them are pending, and the sum of all counts. `numbers` has room
    for the arms of a record. Returns how many records are counted.
    """
    for i in range(first, len(records)):
        record, wanted = records[i], 0
        begin, n = arms.offsets[record], arms.offsets[record + 1] - arms.offsets[record]
        for j in range(n):
            at = slot_of(known, arms.pairs[begin + j])
            if known.pairs[at] == _FREE:
                return i
            numbers[j] = known.numbers[at]
            wanted += known.numbers[at] != IGNORED
        if wanted == 0:
            continue
        if state[CELLS] + wanted > len(cells.places):
            return i
        hour = np.uint64(arms.occurred_at[record] // HOUR_MS) << np.uint64(HOUR_SHIFT)
        in_hour = hour | _bucket(arms.users[record])
        for j in range(n):
            if numbers[j] != IGNORED:
                place = in_hour | np.uint64(numbers[j]) << np.uint64(BUCKET_BITS)
                _count(cells, state, place, arms.trusted[record])
    return len(records)


@compiled(NOTHING, CELLS_TYPE, NUMBER, allocates=False)
def find_slots(cells: Cells, n: int) -> None:
    """Fill empty slots with the first n cells."""
    for cell in range(n):
        cells.slots[_find(cells, cells.places[cell])] = np.uint32(cell + 1)
