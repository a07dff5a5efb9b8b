"""The members of one slice, each once, in the order in which they came: an open-addressing table (C31).

Exact, over all 192 bits of pin, hash of the user, and place. A slot is 0, or the index + 1 of a member and, above it,
bits of the hash of the member, as in `streams.counting.duplicates`. The first slots of a batch are read ahead.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.jit import FLAGS, MARKS, NOTHING, NUMBER, PAIRS, PLACES, SLOTS, UNSIGNEDS, compiled, part
from pintally.streams.counting import duplicates, user_hash
from pintally.streams.counting.aggregates.marks import DIRTY, SOURCE
from pintally.streams.counting.duplicates import BATCH, KEYS, Keys, hash_pair
from pintally.streams.counting.user_hash import hash_user

SMALLEST: Final = 256  # members that a table begins with room for
SPARE: Final = 4  # slots a member
PIN, USER, PLACE = 0, 1, 2  # of a member
SOURCES: Final = (duplicates.__file__, user_hash.__file__, SOURCE)

Words = NDArray[np.uint64]
Members = NDArray[np.uint64]  # shape (n, 3): pin, hash of the user, place
Numbers = NDArray[np.uint32]
Trusted = NDArray[np.bool_]


class MemberTable:
    """Members with their counts and marks."""

    def __init__(self, keys: Keys = KEYS) -> None:
        self._keys = keys
        self._n = 0
        self._members: Members = np.empty((0, 3), np.uint64)
        self._counts: Numbers = np.empty(0, np.uint32)
        self._trusted: Numbers = np.empty(0, np.uint32)  # of the counts
        self._marks: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._slots: Numbers = np.empty(0, np.uint32)
        self._allocate(SMALLEST)

    def __len__(self) -> int:
        """The number of members."""
        return self._n

    @property
    def nbytes(self) -> int:
        """Bytes of the table; 49 a member that it has room for, 33 once it has ended."""
        return sum(column.nbytes for column in (self._members, self._counts, self._trusted, self._marks, self._slots))

    @property
    def marks(self) -> NDArray[np.uint8]:
        """DIRTY and IN_FLIGHT, of each member."""
        return self._marks[: self._n]

    def at(self, at: NDArray[Any]) -> tuple[Members, Numbers, Numbers]:
        """The members at these indexes, their counts, and how much of those is trusted."""
        return self._members[at], self._counts[at], self._trusted[at]

    def add(
        self, pins: Words, users: Words, trusted: Trusted, records: NDArray[np.intp], places: Words, key: Words
    ) -> None:
        """Count the records at these indexes of a chunk, whose places are given in order. `key` is of the hash."""
        if self._n + len(records) > len(self._members):
            self._grow(self._n + len(records))
        table = self._keys, self._members, self._counts, self._trusted, self._marks, self._slots
        self._n = _count(pins, users, trusted, records, places, key, *table, self._n)

    def end(self) -> None:
        """Nothing is added any more: give back what only adding needs."""
        self._members, self._counts = self._members[: self._n].copy(), self._counts[: self._n].copy()
        self._trusted = self._trusted[: self._n].copy()
        self._marks, self._slots = self._marks[: self._n].copy(), np.empty(0, np.uint32)

    def _grow(self, needed: int) -> None:
        members, counts, trusted, marks = self._members, self._counts, self._trusted, self._marks
        self._allocate(1 << (needed - 1).bit_length())
        self._members[: self._n], self._counts[: self._n] = members[: self._n], counts[: self._n]
        self._trusted[: self._n], self._marks[: self._n] = trusted[: self._n], marks[: self._n]
        _insert(self._keys, self._members, self._slots, self._n)

    def _allocate(self, room: int) -> None:
        self._members = np.empty((room, 3), np.uint64)
        self._counts = np.empty(room, np.uint32)
        self._trusted = np.empty(room, np.uint32)
        self._marks = np.empty(room, np.uint8)
        self._slots = np.zeros(SPARE * room, np.uint32)


@part
def _hashed(pin: np.uint64, user: np.uint64, place: np.uint64, keys: Keys) -> np.int64:
    """A user's hash is as good as random to whoever lacks the key, so the place may be mixed into it."""
    return hash_pair(pin, user ^ place * np.uint64(0x9E3779B97F4A7C15), keys) >> np.int64(1)


@compiled(
    NUMBER, UNSIGNEDS, UNSIGNEDS, FLAGS, PLACES, UNSIGNEDS, UNSIGNEDS, UNSIGNEDS, PAIRS, SLOTS, SLOTS, MARKS, SLOTS,
    NUMBER, sources=SOURCES,
)  # fmt: skip
def _count(
    pins: Words, users: Words, trusted: Trusted, records: NDArray[np.intp], places: Words, key: Words, keys: Keys,
    members: Members, counts: Numbers, trusted_counts: Numbers, marks: NDArray[np.uint8], slots: Numbers, n: int,
) -> int:  # fmt: skip
    """Count records; returns the number of members, of which there were n."""
    users_hashed = np.empty(BATCH, np.uint64)
    hashes = np.empty(BATCH, np.int64)
    firsts = np.empty(BATCH, np.uint32)
    mask = len(slots) - 1
    for start in range(0, len(records), BATCH):
        batch = min(BATCH, len(records) - start)
        for i in range(batch):
            record = records[start + i]
            users_hashed[i] = hash_user(key, users[record])
            hashes[i] = _hashed(pins[record], users_hashed[i], places[start + i], keys)
        for i in range(batch):
            firsts[i] = slots[hashes[i] & mask]
        for i in range(batch):
            pin, user, place = pins[records[start + i]], users_hashed[i], places[start + i]
            at = hashes[i] & mask
            while slots[at]:
                slot = np.int64(slots[at])
                if slot ^ hashes[i] <= mask:
                    index = (slot & mask) - 1
                    if members[index, 0] == pin and members[index, 1] == user and members[index, 2] == place:
                        break
                at = (at + 1) & mask
            if slots[at]:
                index = (np.int64(slots[at]) & mask) - 1
                counts[index] += 1
                trusted_counts[index] += trusted[records[start + i]]
                marks[index] |= DIRTY
            else:
                members[n, 0], members[n, 1], members[n, 2] = pin, user, place
                counts[n], trusted_counts[n], marks[n] = 1, trusted[records[start + i]], DIRTY
                n += 1
                slots[at] = np.uint32((hashes[i] & ~mask) | n)
    return n


@compiled(NOTHING, UNSIGNEDS, PAIRS, SLOTS, NUMBER, sources=SOURCES)
def _insert(keys: Keys, members: Members, slots: Numbers, n: int) -> None:
    """Fill empty slots with the first n members, which are distinct."""
    mask = len(slots) - 1
    for index in range(n):
        hashed = _hashed(members[index, 0], members[index, 1], members[index, 2], keys)
        at = hashed & mask
        while slots[at]:
            at = (at + 1) & mask
        slots[at] = np.uint32((hashed & ~mask) | (index + 1))
