"""The duplicate filter (C2): exact, over all 128 bits of an id.

Gains named below were measured with cold caches: twelve sources in turns, two full blocks of 250,000 random ids each,
chunks of 5,000, on two busy cores. The whole filter takes 0.056 us an id that way; a call costs 2 us.
"""

from secrets import randbits
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.jit import FLAGS, NOTHING, NUMBER, PAIRS, PAIRS_READ, SLOTS, UNSIGNEDS, compiled, part

Ids = NDArray[np.uint64]  # shape (n, 2): upper and lower half
Keys = NDArray[np.uint64]  # five of them
Slots = NDArray[np.uint32]
Mask = NDArray[np.bool_]

SMALLEST: Final = 256  # ids a block that a table begins with room for
SPARE: Final = 4  # slots an id, so that the first one is mostly free; with two, 8 bytes less, an id costs 0.078 us
BATCH: Final = 256  # ids; what was read ahead for them is still in the first cache when they are judged
KEYS: Final = np.array([randbits(64) for _ in range(5)], np.uint64)  # of this process; no verdict depends on them


class SeenIds:
    """The ids that can still make a later record of their source a duplicate: those of two blocks.

    The ids of a block are kept in the order of their records, and found through an open-addressing table. A slot holds
    0, or an id's index + 1 and, above it, as many bits of the id's hash as fit into 32: nearly every id is judged by
    one look. The index is of the last record with the id; if that one is too old to matter, so are all before it.

    Blocks take turns in the even and the odd slots, so that one line of memory tells about both: with a table for each
    an id costs 0.072 us.
    """

    def __init__(self, keys: Keys = KEYS) -> None:
        self._keys = keys
        self._block = self._bucket = -1
        self._n = self._n_before = 0  # ids of this block and of the one before
        self._first = 0  # index of this bucket's first id; below 0 it lies in the block before
        self._oldest = 0  # index of the first id of the bucket before, likewise
        self._allocate(SMALLEST)

    @property
    def nbytes(self) -> int:
        """Bytes of ids and slots; 34 an id where blocks have 250,000."""
        return self._slots.nbytes + sum(ids.nbytes for ids in self._ids)

    def register(self, ids: Ids, block: int, bucket: int) -> Mask:
        """Register the ids of records of one slice, in order; returns which of them repeat an earlier one.

        Only a record whose block and bucket are the same or one less makes another one a duplicate. Calls come in the
        order of the log: neither `block` nor `bucket` ever falls.
        """
        if block != self._block:
            self._turn_to(block)
        if bucket != self._bucket:
            self._oldest = self._first if bucket == self._bucket + 1 else self._n
            self._first, self._bucket = self._n, bucket
        if self._n + len(ids) > len(self._ids[0]):
            self._grow(self._n + len(ids))
        repeats = self._add(ids, block & 1, self._n)
        self._n += len(ids)
        return repeats

    def _turn_to(self, block: int) -> None:
        """Begin a block in the memory of the one before the last: an id costs 0.07 us, and 0.34 where memory grows."""
        if block == self._block + 1:
            self._slots[block & 1 :: 2] = 0
            self._n_before = self._n
        else:
            self._slots.fill(0)
            self._n_before = 0
        self._first -= self._n
        self._oldest -= self._n
        self._block, self._n = block, 0

    def _grow(self, needed: int) -> None:
        """Make room for as many ids a block, and insert again the ids that are here."""
        ids, side = self._ids, self._block & 1
        self._allocate(1 << (needed - 1).bit_length())
        self._add(ids[1 - side][: self._n_before], 1 - side, 0)
        self._add(ids[side][: self._n], side, 0)

    def _allocate(self, room: int) -> None:
        self._ids = np.empty((room, 2), np.uint64), np.empty((room, 2), np.uint64)
        self._slots = np.zeros(2 * SPARE * room, np.uint32)

    def _add(self, ids: Ids, side: int, n: int) -> Mask:
        """Add ids to the block in these slots, which has n; returns which of them repeat one that is young enough."""
        own, before = self._ids[side], self._ids[1 - side]
        since, since_before = max(self._oldest, 0), max(self._oldest + self._n_before, 0)
        ids = np.ascontiguousarray(ids)
        repeats = np.empty(len(ids), np.bool_)
        _register(ids, self._keys, self._slots, side, own, n, since, before, since_before, repeats)
        return repeats


@part
def hash_pair(upper: np.uint64, lower: np.uint64, keys: Keys) -> np.int64:
    """31 bits of an id, or of any pair of numbers, above a 0.

    A multilinear hash of its four words (Lemire and Kaser, "Strongly universal string hashing is fast", 2014): of any
    two ids, however they were made or chosen, the hashes are independent, unless who chose them knows the keys. The
    last steps lose nothing of that; they break up the even gaps between the hashes of ids that count upwards.
    """
    word = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    x = keys[0] + keys[1] * (upper >> half) + keys[2] * (upper & word)
    x = (x + keys[3] * (lower >> half) + keys[4] * (lower & word)) >> half
    x = (x ^ (x >> np.uint64(15))) * np.uint64(0x9E3779B1) & word
    return np.int64(x ^ (x >> np.uint64(15))) & ~1


@part
def find_pair(slots: Slots, at: int, step: int, pairs: Ids, upper: np.uint64, lower: np.uint64, hashed: int) -> int:
    """Probe every `step`-th slot from `at` on; returns the one that has this pair of numbers, or the first free one.

    The next slot lies in the same line of memory, mostly; with steps that differ by the hash an id costs 0.11 us.
    """
    mask = len(slots) - 1
    while slots[at]:
        slot = np.int64(slots[at])
        if slot ^ hashed <= mask:
            index = (slot & mask) - 1
            if pairs[index, 0] == upper and pairs[index, 1] == lower:
                break
        at = (at + step) & mask
    return at


@compiled(NOTHING, PAIRS_READ, UNSIGNEDS, SLOTS, NUMBER, PAIRS, NUMBER, NUMBER, PAIRS, NUMBER, FLAGS)
def _register(
    ids: Ids,
    keys: Keys,
    slots: Slots,
    side: int,
    own: Ids,
    n: int,
    since: int,
    before: Ids,
    since_before: int,
    repeats: Mask,
) -> None:
    """Add ids to `own`, after the n there; sets in `repeats` which repeat an id of `own` from index `since` on, or
    one of `before` from index `since_before` on.

    The first slots of a whole batch are read ahead, with nothing to decide, so that many reads of cold memory are
    under way at once: without that an id costs 0.21 us.
    """
    hashes = np.empty(BATCH, np.int64)
    firsts = np.empty(BATCH, np.uint32)
    mask = len(slots) - 1
    for start in range(0, len(ids), BATCH):
        batch = min(BATCH, len(ids) - start)
        for i in range(batch):
            hashes[i] = hash_pair(ids[start + i, 0], ids[start + i, 1], keys)
        for i in range(batch):
            firsts[i] = slots[(hashes[i] & mask) + 1 - side]
        for i in range(batch):
            upper, lower, hashed = ids[start + i, 0], ids[start + i, 1], hashes[i]
            home = hashed & mask
            at = find_pair(slots, home + side, 2, own, upper, lower, hashed)
            repeat = np.int64(slots[at]) & mask > since
            if firsts[i]:
                there = find_pair(slots, home + 1 - side, 2, before, upper, lower, hashed)
                repeat |= np.int64(slots[there]) & mask > since_before
            repeats[start + i] = repeat
            own[n, 0], own[n, 1] = upper, lower
            n += 1
            slots[at] = np.uint32((hashed & ~mask) | n)
