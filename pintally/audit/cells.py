"""The cells of one aggregate in a slice, made by sorting its counted records."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.audit.arms import Assigned, CountedArms
from pintally.audit.events import Events
from pintally.audit.labels import Counted, Labels
from pintally.audit.rules import CountingRules

Keys = tuple[NDArray[Any], ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """The counted records of a slice, ascending by offset: what its cells are made of."""

    action: int  # its number
    rules: CountingRules
    offsets: NDArray[np.int64]
    events: Events
    trusted: NDArray[np.bool_]
    labels: Labels  # of the numbers in `events`
    assigned: Assigned  # of those of its experiments
    keys: tuple[bytes, ...] = ()  # of the hash of users


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one aggregate in a slice, ascending by key.

    Cell i counts the records at `offsets[starts[i]:starts[i + 1]]`, which ascend.
    """

    keys: Keys  # the columns of the key
    starts: NDArray[np.int64]  # one more than there are cells
    offsets: NDArray[np.int64]
    trusted: NDArray[np.bool_]  # whether each of the records is
    labels: tuple[Counted, ...] = ()  # of the key
    arms: CountedArms | None = None  # of the key

    @classmethod
    def of(cls, columns: Keys, offsets: NDArray[np.int64], trusted: NDArray[np.bool_]) -> "Cells":
        """The cells of counted records, whose keys are given in columns and whose offsets ascend."""
        varied = [column for column in columns if len(column) and np.any(column != column[0])]
        if varied:
            order = np.lexsort(varied[::-1])  # is stable: offsets of a cell ascend
            columns, offsets = tuple(column[order] for column in columns), offsets[order]
            trusted = trusted if trusted.all() else trusted[order]
        begins = np.zeros(len(offsets), np.bool_)
        begins[:1] = True
        for column in columns:
            begins[1:] |= column[1:] != column[:-1]
        starts = np.flatnonzero(begins)
        keys = tuple(column[starts] for column in columns)
        return cls(keys, np.append(starts, len(offsets)), offsets, trusted)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def at(self, mask: NDArray[np.bool_]) -> "Cells":
        """The cells where a mask, one entry a cell, is true."""
        counts = self.counts
        records = np.repeat(mask, counts)
        keys = tuple(column[mask] for column in self.keys)
        starts = np.append(0, np.cumsum(counts[mask]))
        return replace(self, keys=keys, starts=starts, offsets=self.offsets[records], trusted=self.trusted[records])

    def of_record(self, offset: int) -> list[int]:
        """The cells that count the record at this offset."""
        at = np.flatnonzero(self.offsets == offset)
        found: list[int] = (np.searchsorted(self.starts, at, side="right") - 1).tolist()
        return found

    def counted_below(self, cell: int, below: int) -> tuple[int, int]:
        """How many records of a cell are below an offset, and how many of these are trusted."""
        own = slice(self.starts[cell], self.starts[cell + 1])
        counted = self.offsets[own] < below
        return int(np.count_nonzero(counted)), int(np.count_nonzero(self.trusted[own][counted]))

    @property
    def names(self) -> Iterator[str]:
        """All labels of the key."""
        for each in self.labels:
            yield from each.names
        if self.arms:
            yield from self.arms.names

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many records each cell counts."""
        return np.diff(self.starts)

    @property
    def trusted_counts(self) -> NDArray[np.int64]:
        """How many of them are trusted."""
        if self.trusted.all():
            return self.counts
        return np.diff(np.append(0, np.cumsum(self.trusted))[self.starts])
