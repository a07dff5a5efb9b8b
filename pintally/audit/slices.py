"""One recounted slice: the outcome of each record, and the cells that they make."""

from dataclasses import dataclass, field
from enum import IntEnum
from itertools import compress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.audit.aggregates import AGGREGATES
from pintally.audit.cells import Cells

OFFSET_BITS = 48  # as in a row's version
OFFSET = (1 << OFFSET_BITS) - 1


class Outcome(IntEnum):
    """The outcome of a record. The numbers are used in the audit only."""

    INVALID = 0
    LATE = 1
    DUPLICATE = 2
    COUNTED = 3


class Rejected(NamedTuple):
    """A late or invalid record, for its dead letter. `digest` is the MD5 of the value, None for a tombstone."""

    offset: int
    timestamp: int
    outcome: str
    digest: bytes | None
    stream_time: int  # of the source, this record included


class State(NamedTuple):
    """The state of a slice at a position."""

    stream_time: int
    counted: int
    duplicate: int
    late: int
    invalid: int
    gaps: int


@dataclass(slots=True, eq=False)
class Slice:
    """One slice, recounted up to `end`. Arrays have one entry a record, ascending by offset."""

    slice_block: int
    arrived_at: int  # seconds since 1970
    start: int
    start_stream_time: int
    end: int = -1
    complete: bool = False  # the next offset is known to belong to another slice
    offsets: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    stream_times: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    outcomes: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    cells: tuple[Cells, ...] = ()  # of each aggregate
    rejected: list[Rejected] = field(default_factory=list)

    @property
    def key(self) -> tuple[int, int]:
        """The name of the slice in ClickHouse; ascending in the order of the log."""
        return self.slice_block, self.arrived_at

    def at(self, position: int) -> State:
        """Returns stream time and outcomes of [start, position), for any position from start to end."""
        records = int(np.searchsorted(self.offsets, position))
        found = np.bincount(self.outcomes[:records], minlength=len(Outcome)).tolist()
        invalid, late, duplicate, counted = (found[outcome] for outcome in Outcome)
        stream_time = int(self.stream_times[records - 1]) if records else self.start_stream_time
        return State(stream_time, counted, duplicate, late, invalid, position - self.start - records)

    def counted(self, number: int) -> list[int]:
        """One number a counted record, ascending: the key of its cell of an aggregate, then OFFSET_BITS of its offset.

        `number` is the place of the aggregate in AGGREGATES.
        """
        cells, number_of = self.cells[number], AGGREGATES[number].number
        keys = [number_of(*key) for key in zip(*(column.tolist() for column in cells.keys), strict=True)]
        of_record = np.repeat(np.arange(len(cells)), cells.counts).tolist()
        return [
            keys[cell] << OFFSET_BITS | offset for cell, offset in zip(of_record, cells.offsets.tolist(), strict=True)
        ]

    def trusted(self, number: int) -> list[int]:
        """Those of `counted` that are trusted."""
        return list(compress(self.counted(number), self.cells[number].trusted.tolist()))
