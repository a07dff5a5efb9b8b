"""Duplicates are found by sorting: equal ids are neighbours, in offset order.

Since blocks and stream times only grow, the nearest earlier record with the id decides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd: another id seldom has the same mark, and then nothing is wrong


@dataclass(frozen=True, slots=True)
class Ids:
    """Columns of the records that register their id, ascending by offset."""

    event_id: NDArray[np.uint64]  # (n, 2): the halves of the UUID
    offsets: NDArray[np.int64]
    buckets: NDArray[np.int64]  # stream time of the record, in arrival buckets

    @classmethod
    def none(cls) -> "Ids":
        """No ids."""
        return cls(np.empty((0, 2), np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))

    def at(self, chosen: NDArray[np.bool_]) -> "Ids":
        """Some of them."""
        return Ids(self.event_id[chosen], self.offsets[chosen], self.buckets[chosen])

    @classmethod
    def joined(cls, parts: "list[Ids]") -> "Ids":
        """All of several."""
        return cls(
            np.concatenate([part.event_id for part in parts]),
            np.concatenate([part.offsets for part in parts]),
            np.concatenate([part.buckets for part in parts]),
        )


def repeated(ids: Ids, slice_records: int) -> NDArray[np.int64]:
    """The offsets of records whose id an earlier record has, in the same block and bucket or one less."""
    marks = ids.event_id[:, 0] * _MIX ^ ids.event_id[:, 1]
    ordered = np.sort(marks)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return np.empty(0, np.int64)
    ids = ids.at(np.isin(marks, twice))
    order = np.lexsort((ids.offsets, ids.event_id[:, 1], ids.event_id[:, 0]))
    event_id, offsets, buckets = ids.event_id[order], ids.offsets[order], ids.buckets[order]
    blocks = offsets // slice_records
    same = (event_id[1:] == event_id[:-1]).all(axis=1)
    near = (np.diff(blocks) <= 1) & (np.diff(buckets) <= 1)
    found: NDArray[np.int64] = offsets[1:][same & near]
    return found
