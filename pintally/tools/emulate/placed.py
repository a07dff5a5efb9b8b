"""Where Kafka put the records of a slab, and which of them are trusted because of it (C30)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.rules import ARRIVAL_BUCKET_MS, Rules

NOWHERE = -1  # Kafka has taken a batch and does not know any more where it is


@dataclass(frozen=True, slots=True)
class Placed:
    """One entry a record of a slab."""

    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]  # of the records in Kafka, ms since 1970


@dataclass(frozen=True, slots=True)
class Part:
    """Counted records of one partition, ascending by offset."""

    offsets: NDArray[np.int64]
    stream_times: NDArray[np.int64]  # of the source at each of them, ms
    pin: NDArray[np.int64]
    user: NDArray[np.uint64]
    cells: NDArray[np.int64]  # what names the cell of each, for who asks

    def at(self, places: NDArray[np.int64]) -> "Part":
        """Some of them."""
        offsets, times = self.offsets[places], self.stream_times[places]
        return Part(offsets, times, self.pin[places], self.user[places], self.cells[places])


@dataclass(slots=True)
class TrustedOfPartition:
    """Says which records of one partition are trusted, slice after slice.

    It is right if nobody else sends records of these users and pins to the partition, and if no record of another
    producer has a higher timestamp than a later one of ours.
    """

    rules: Rules
    _stream_time: int = 0
    _slice: tuple[int, int] = (-1, -1)  # the open one: its block and arrival bucket
    _open: list[Part] = field(default_factory=list)

    def stream_times(self, timestamps: NDArray[np.int64]) -> NDArray[np.int64]:
        """The stream times at the next records of the partition."""
        times = np.maximum(np.maximum.accumulate(timestamps), self._stream_time)
        self._stream_time = int(times[-1]) if len(times) else self._stream_time
        return times

    def add(self, part: Part) -> Iterator[NDArray[np.int64]]:
        """Take in the next counted records; yields the cells of the trusted ones in each slice that has ended."""
        blocks, buckets = part.offsets // self.rules.slice_records, part.stream_times // ARRIVAL_BUCKET_MS
        begins = np.flatnonzero((np.diff(blocks) != 0) | (np.diff(buckets) != 0)) + 1
        for at in np.split(np.arange(len(blocks)), begins):
            if not len(at):
                continue
            name = int(blocks[at[0]]), int(buckets[at[0]])
            if name != self._slice:
                yield self.trusted()
                self._slice, self._open = name, []
            self._open.append(part.at(at))

    def trusted(self) -> NDArray[np.int64]:
        """The cells of the trusted records of the open slice."""
        if not self._open:
            return np.empty(0, np.int64)
        pin, user, cells = (
            np.concatenate([getattr(part, name) for part in self._open]) for name in ("pin", "user", "cells")
        )
        found: NDArray[np.int64] = cells[_rank(pin, user) < (self.rules.trusted_cap or len(pin))]
        return found


def _rank(pin: NDArray[np.int64], user: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many earlier records each has with its pin and user."""
    order = np.lexsort((user, pin))  # is stable
    differs = (np.diff(pin[order]) != 0) | (user[order][1:] != user[order][:-1])
    starts = np.flatnonzero(np.append(True, differs))
    ranks = np.empty(len(pin), np.int64)
    ranks[order] = np.arange(len(pin)) - np.repeat(starts, np.diff(np.append(starts, len(pin))))
    return ranks
