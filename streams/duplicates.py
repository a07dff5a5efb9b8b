"""The duplicate filter (rule 2): exact, over all 128 bits of an id, a chunk at a time.

Gains named below were measured in chunks of 5,000 ids and full blocks of 250,000, on two busy cores; whole filter: 0.03
us an id in the quietest tenth of the chunks, 0.07 in the middle one.
"""

from bisect import bisect_left
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint64]  # shape (n, 2): upper and lower half
Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]
Slots = NDArray[np.uint32]
Mask = NDArray[np.bool_]

SMALLEST: Final = 8  # bits: a table begins with room for 256 ids
FEW: Final = (
    16  # up to so many ids plain Python beats a round of numpy: a chunk of 1 costs 44 us, not 54; of 50 80, not 93
)
SPARE: Final = 2  # bits: four slots an id, so that the first one is mostly free: 0.071 us an id; with two slots 0.105
ODD: Final = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))


class SeenIds:
    """The ids that can still make a later record of their source a duplicate: those of two blocks."""

    def __init__(self) -> None:
        self._block = -1
        self._own, self._before = BlockIds(), BlockIds()

    @property
    def nbytes(self) -> int:
        """Bytes of both tables; 34 an id where blocks have 250,000."""
        return self._own.nbytes + self._before.nbytes

    def register(self, ids: Ids, block: int, bucket: int) -> Mask:
        """Register the ids of records that lie in one slice, in order; which of them repeat an earlier one?

        Only a record whose block and bucket are the same or one less makes another one a duplicate. Calls come in the
        order of the log: neither `block` nor `bucket` ever falls.
        """
        if block != self._block:
            self._turn_to(block)
        hashes = _hash(ids)
        repeats = self._own.register(ids, hashes, bucket)
        repeats |= self._before.find(ids, hashes, bucket - 1)
        return repeats

    def _turn_to(self, block: int) -> None:
        """Tables are used again: 0.12 to 0.15 us an id where growing in fresh memory, page by page, took 0.3 to 0.4."""
        if block == self._block + 1:
            self._own, self._before = self._before, self._own
        else:
            self._before.clear()
        self._own.clear()
        self._block = block


class BlockIds:
    """The ids of one block: in order of their records, and an open-addressing table of indices into them.

    A slot holds 0, or an id's index + 1 and, above it, as many bits of the id's hash (its tag) as fit into 32: nearly
    every id is judged by one look at 4 bytes. The index is of the last record with the id; if that one is too old to
    matter, so are all before it.
    """

    def __init__(self) -> None:
        self._n = 0
        self._buckets: list[int] = []  # ascending
        self._firsts: list[int] = []  # index of each bucket's first id
        self._ids = np.empty((0, 2), np.uint64)
        self._allocate(SMALLEST)

    @property
    def nbytes(self) -> int:
        """Bytes of ids and slots."""
        return self._ids.nbytes + self._slots.nbytes

    def clear(self) -> None:
        """Forget all ids, keep the memory."""
        if self._n:
            self._slots.fill(0)
        self._n = 0
        self._buckets.clear()
        self._firsts.clear()

    def find(self, ids: Ids, hashes: Hashes, since: int) -> Mask:
        """Which of the ids are here, of bucket `since` or later?"""
        found = np.zeros(len(ids), np.bool_)
        oldest = self._first_since(since)
        if oldest == self._n:
            return found
        at = self._homes(hashes)
        slots = self._slots[at]
        who = slots.nonzero()[0]
        at, slots, tags = at[who], slots[who], self._tags(hashes[who])
        while len(who) > FEW:
            same = self._same(slots, tags, ids, who)
            found[who[same]] = self._indices(slots[same]) >= oldest
            at = self._next(at, hashes[who])
            slots = self._slots[at]
            slots[same] = 0  # found, no need to go on
            on = slots.nonzero()[0]
            who, at, slots, tags = who[on], at[on], slots[on], tags[on]
        for i, place, tag in zip(who.tolist(), at.tolist(), tags.tolist(), strict=True):
            found[i] = self._walk(ids, hashes, i, place, tag)[1] >= oldest
        return found

    def register(self, ids: Ids, hashes: Hashes, bucket: int) -> Mask:
        """Add the ids, all of one bucket; which of them repeat one of this bucket or of the one before?"""
        self._make_room(self._n + len(ids))
        oldest = self._first_since(bucket - 1)
        if not self._buckets or self._buckets[-1] != bucket:
            self._buckets.append(bucket)
            self._firsts.append(self._n)
        base, self._n = self._n, self._n + len(ids)
        self._ids[base : self._n] = ids
        met = self._place(np.arange(base, self._n), ids, hashes)
        if met.max(initial=-1) < 0:
            return np.zeros(len(ids), np.bool_)
        return self._repeats(met, base, oldest)

    @staticmethod
    def _repeats(met: Indices, base: int, oldest: int) -> Mask:
        """Whose id was here before `base` and not before `oldest`; of equal new ids, all but the first."""
        inside = (met >= base).nonzero()[0]
        through = met[met[inside] - base]  # an equal id that itself met one
        met[inside] = np.where(through >= 0, through, met[inside])
        repeats: Mask = (met >= oldest) & (met < base)
        others = ((met >= 0) & ~repeats).nonzero()[0]
        if len(others):
            placed = met[others] - base  # of equal new ids the one that got the slot, not always the first
            equal = np.unique(np.concatenate((others, placed[placed >= 0])))
            name = np.where(met[equal] >= 0, met[equal], equal + base)
            repeats[equal] = True
            repeats[equal[np.unique(name, return_index=True)[1]]] = False
        return repeats

    def _place(self, indices: Indices, ids: Ids, hashes: Hashes) -> Indices:
        """Put the indices of these ids into slots; returns the index of an equal id that each met there, else -1.

        Equal ids go the same way at the same pace: they come to a slot in the same round, so all of them meet what was
        there before, or else the one among them that got it.
        """
        met = np.full(len(indices), -1)
        who, at = np.arange(len(indices)), self._homes(hashes)
        entries = self._tags(hashes) | (indices + 1).astype(np.uint32)
        while len(who) > FEW:
            slots = self._slots[at]
            self._slots[at] = np.where(slots, slots, entries)  # of several at a free slot one gets it
            slots = self._slots[at]
            on = (slots != entries).nonzero()[0]
            who, at, slots, entries = who[on], at[on], slots[on], entries[on]
            same = self._same(slots, entries, ids, who)
            met[who[same]] = self._indices(slots[same])
            self._slots[at[same]] = entries[same]
            on = np.delete(np.arange(len(who)), same) if len(same) else slice(None)
            who, entries = who[on], entries[on]
            at = self._next(at[on], hashes[who])
        first = indices.item(0) if len(who) else 0
        for i, place, entry in zip(who.tolist(), at.tolist(), entries.tolist(), strict=True):
            free, index = self._walk(ids, hashes, i, place, entry)
            if index < first:  # else an equal id of this very call is here, which does as well
                self._slots[free] = entry
            if index >= 0:
                met[i] = index
        return met

    def _walk(self, ids: Ids, hashes: Hashes, i: int, at: int, tag: int) -> tuple[int, int]:
        """ids[i] from slot to slot, the same way: where it is, and its index; or the free slot it comes to, and -1."""
        look, mask = self._slots.item, self._index_mask.item()
        while slot := look(at):
            index = (slot & mask) - 1
            if slot ^ tag <= mask and self._ids[index].tolist() == ids[i].tolist():
                return at, index
            at = (at + (hashes.item(i) >> 16 | 1)) & (len(self._slots) - 1)
        return at, -1

    def _same(self, slots: Slots, tags: Slots, ids: Ids, who: Indices) -> Indices:
        """At which of the taken slots is the id ids[who]? Looks at ids only where the tags agree."""
        maybe = (slots ^ tags <= self._index_mask).nonzero()[0]
        if not len(maybe):
            return maybe
        equal = self._ids[self._indices(slots[maybe])] == ids[who[maybe]]
        both: Mask = equal[:, 0] & equal[:, 1]
        return maybe[both]

    def _indices(self, slots: Slots) -> Indices:
        return (slots & self._index_mask).astype(np.int64) - 1

    def _homes(self, hashes: Hashes) -> Indices:
        """The first slot of an id: the uppermost bits of its hash."""
        return (hashes >> np.uint64(64 - self._bits)).view(np.int64)

    def _tags(self, hashes: Hashes) -> Slots:
        """The bits below those, in the upper part of a slot."""
        return ((hashes << np.uint64(self._bits)) >> np.uint64(32)).astype(np.uint32) & ~self._index_mask

    def _next(self, at: Indices, hashes: Hashes) -> Indices:
        """The slot after `at` on an id's way: an odd step, so that it comes by every slot."""
        return (at + ((hashes >> np.uint64(16)) | np.uint64(1)).view(np.int64)) & (len(self._slots) - 1)

    def _first_since(self, bucket: int) -> int:
        """Index of the first id of `bucket` or a later one."""
        i = bisect_left(self._buckets, bucket)
        return self._firsts[i] if i < len(self._firsts) else self._n

    def _make_room(self, needed: int) -> None:
        if needed <= len(self._ids):
            return
        live = self._indices(self._slots[self._slots != 0])
        self._allocate((needed - 1).bit_length())
        ids = self._ids[live]
        self._place(live, ids, _hash(ids))

    def _allocate(self, bits: int) -> None:
        """Room for 2^bits ids; keeps the ids, forgets the slots."""
        ids = np.empty((1 << bits, 2), np.uint64)
        ids[: self._n] = self._ids[: self._n]
        self._ids = ids
        self._bits = bits + SPARE
        self._slots = np.zeros(1 << self._bits, np.uint32)
        self._index_mask = np.uint32((2 << bits) - 1)


def _hash(ids: Ids) -> Hashes:
    """64 bits of each id; time-ordered and hand-made UUIDs spread as well as random ones."""
    return (ids[:, 0] ^ ids[:, 1] * ODD[0]) * ODD[1]
