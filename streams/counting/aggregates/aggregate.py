"""The contract of an aggregate: what is counted of one slice, and what of it is not flushed."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.cells import CellRows
from pintally.schemas.rows import version_of
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.schemas.user_keys import NO_KEYS, UserKeys
from pintally.streams.counting.outcomes import Judged
from pintally.streams.counting.slices import SliceId


@dataclass(frozen=True, slots=True)
class SliceVersion:
    """A slice at one moment: what all rows that are taken of it then have in common."""

    source: Source
    action: Action
    slice_id: SliceId
    epoch: int
    position: int  # offset; values are of the slice's records below it

    def columns(self, n: int) -> dict[str, NDArray[Any]]:
        """The columns of CellRows for n rows."""
        return {
            "source": np.full(n, self.source.id, np.uint64),
            "slice_block": np.full(n, self.slice_id.slice_block, np.uint32),
            "arrived_at": np.full(n, self.slice_id.arrived_at_seconds, np.uint32),
            "version": np.full(n, version_of(self.epoch, self.position), np.uint64),
        }


class Aggregate(Protocol):
    """The cells of one aggregate in one slice. Each slice in memory has an instance of its own.

    Values are absolute and pure: a function of the slice's counted records, whatever pieces they come in and whenever
    a flush takes them. A cell is dirty (changed since it was last taken), in flight (taken, not answered yet), both, or
    flushed. At most one flush is in flight; `take_dirty` begins it, `mark_flushed` or `merge_back` ends it.
    """

    rows: ClassVar[type[CellRows]]  # of its table

    def __init__(self, rules: Rules, check_sum: int = 0, keys: UserKeys = NO_KEYS) -> None:
        """Begin a slice that these rules count; or go on with one whose cells are all flushed, have this check sum and
        never change again. `keys` has the key that the rules name.
        """

    @classmethod
    def is_counted(cls, rules: Rules) -> bool:
        """Whether these rules count it. Slices that they do not count it in have no name of it in the ledger's sums."""

    @property
    def sum(self) -> int:
        """The check sum: over the first value column of all cells, right after `take_dirty`; never falls."""

    @property
    def pending(self) -> int:
        """Cells that are dirty or in flight; may be too high, never too low."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that grow with the slice."""

    def add(self, judged: Judged, at: NDArray[np.intp]) -> None:
        """Count the records at these indexes of a chunk: the counted ones of a piece, in order, each given once."""

    def take_dirty(self, at: SliceVersion) -> CellRows:
        """Take the dirty cells: they are in flight from now on. One row a cell, with its value of this moment."""

    def mark_flushed(self) -> None:
        """The sink has what was in flight. Cells that changed meanwhile stay dirty."""

    def merge_back(self) -> None:
        """The flush failed: what was in flight is dirty again, with the newest values."""

    def end(self) -> None:
        """The slice has ended, nothing is added any more: give back memory that only adding needs."""
