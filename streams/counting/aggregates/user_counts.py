"""Which records of a slice are trusted: of one user and pin the first ones, up to the cap (C30).

Exact, over all 128 bits of user and pin, in an open-addressing table as `streams.counting.duplicates` has one: a slot
is 0, or the index + 1 of a pair and, above it, bits of the hash of the pair. The first slots of a batch are read ahead.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.jit import (
    FLAGS,
    NOTHING,
    NUMBER,
    PAIRS,
    PLACES,
    SLOTS,
    UNSIGNEDS,
    compiled,
)
from pintally.streams.counting import duplicates
from pintally.streams.counting.duplicates import BATCH, KEYS, Keys, find_pair, hash_pair

SMALLEST: Final = 256  # pairs that a table begins with room for
SPARE: Final = 4  # slots a pair
KEPT: Final = 2  # tables that wait for the next slice: memory that is new costs more than the counting

Pairs = NDArray[np.uint64]  # shape (n, 2): user and pin
Numbers = NDArray[np.uint64]
Counts = NDArray[np.uint32]
Slots = NDArray[np.uint32]


class UserCounts:
    """The records of each user and pin in one slice so far; a count ends at the cap."""

    def __init__(self, keys: Keys = KEYS) -> None:
        self._keys = keys
        self._n = 0
        self._allocate(SMALLEST)

    def __len__(self) -> int:
        """The number of pairs."""
        return self._n

    @property
    def nbytes(self) -> int:
        """Bytes of the table; 36 a pair that it has room for."""
        return self._pairs.nbytes + self._counts.nbytes + self._slots.nbytes

    def add(
        self,
        users: Numbers,
        pins: Numbers,
        at: NDArray[np.intp],
        cap: int,
        trusted: NDArray[np.bool_],
    ) -> None:
        """Count the records at these indexes of a chunk, in order; sets in `trusted` which are trusted."""
        if self._n + len(at) > len(self._pairs):
            self._grow(self._n + len(at))
        table = self._keys, self._pairs, self._counts, self._slots
        self._n = _count(users, pins, at, *table, self._n, cap, trusted)

    def clear(self) -> None:
        """Begin a slice in the memory of another one."""
        self._n = 0
        self._slots.fill(0)

    def _grow(self, needed: int) -> None:
        pairs, counts = self._pairs[: self._n], self._counts[: self._n]
        self._allocate(1 << (needed - 1).bit_length())
        self._pairs[: self._n], self._counts[: self._n] = pairs, counts
        _insert(self._keys, self._pairs, self._slots, self._n)

    def _allocate(self, room: int) -> None:
        self._pairs = np.empty((room, 2), np.uint64)
        self._counts = np.empty(room, np.uint32)
        self._slots = np.zeros(SPARE * room, np.uint32)


_kept: list[UserCounts] = []


def take_table() -> UserCounts:
    """An empty table."""
    try:
        table = _kept.pop()
    except IndexError:
        return UserCounts()
    table.clear()
    return table


def give_back(table: UserCounts) -> None:
    """Nobody uses this table any more."""
    if len(_kept) < KEPT:
        _kept.append(table)


@compiled(
    NUMBER, UNSIGNEDS, UNSIGNEDS, PLACES, UNSIGNEDS, PAIRS, SLOTS, SLOTS, NUMBER, NUMBER, FLAGS,
    sources=[duplicates.__file__],
)  # fmt: skip
def _count(
    users: Numbers, pins: Numbers, records: NDArray[np.intp], keys: Keys, pairs: Pairs, counts: Counts, slots: Slots,
    n: int, cap: int, trusted: NDArray[np.bool_],
) -> int:  # fmt: skip
    """Count records; returns the number of pairs, of which there were n."""
    hashes = np.empty(BATCH, np.int64)
    firsts = np.empty(BATCH, np.uint32)
    mask = len(slots) - 1
    for start in range(0, len(records), BATCH):
        batch = min(BATCH, len(records) - start)
        for i in range(batch):
            record = records[start + i]
            hashes[i] = hash_pair(users[record], pins[record], keys) >> 1
        for i in range(batch):
            firsts[i] = slots[hashes[i] & mask]
        for i in range(batch):
            record, at = records[start + i], hashes[i] & mask
            user, pin = users[record], pins[record]
            if firsts[i] or slots[at]:
                at = find_pair(slots, at, 1, pairs, user, pin, hashes[i])
            if slots[at]:
                index = (np.int64(slots[at]) & mask) - 1
                below = counts[index] < cap
                counts[index] += below
                trusted[start + i] = below
            else:
                pairs[n, 0], pairs[n, 1] = user, pin
                counts[n] = 1
                n += 1
                slots[at] = np.uint32((hashes[i] & ~mask) | n)
                trusted[start + i] = True
    return n


@compiled(NOTHING, UNSIGNEDS, PAIRS, SLOTS, NUMBER, sources=[duplicates.__file__])
def _insert(keys: Keys, pairs: Pairs, slots: Slots, n: int) -> None:
    """Fill empty slots with the first n pairs, which are distinct."""
    mask = len(slots) - 1
    for index in range(n):
        hashed = hash_pair(pairs[index, 0], pairs[index, 1], keys) >> 1
        at = hashed & mask
        while slots[at]:
            at = (at + 1) & mask
        slots[at] = np.uint32((hashed & ~mask) | (index + 1))
