"""The contract of an aggregate in the audit: how the rows of its table are read, and what they must be."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pintally.audit.cells import Cells, Counts
from pintally.audit.findings import Finding
from pintally.audit.flushed import EPOCH_SHIFT, POSITION_MASK

NAME = [("slice_block", "<u4"), ("arrived_at", "<u4")]  # of a slice: the first columns of every layout
COUNT = [("value", "<u8"), ("trusted", "<u8"), ("version", "<u8")]  # the last ones


class CellRow(NamedTuple):
    """A row of a table of cells; times in seconds since 1970."""

    slice_block: int
    arrived_at: int
    key: int  # what names the cell within its slice, as one number; ascends as the rows do
    value: int
    trusted: int
    version: int

    @property
    def epoch(self) -> int:
        """The epoch of the rules that the row was made under."""
        return self.version >> EPOCH_SHIFT

    @property
    def position(self) -> int:
        """The row tells of the records below this offset."""
        return self.version & POSITION_MASK


class Aggregate(Protocol):
    """An aggregate whose cells count records: a counted record adds one to each of its cells."""

    table: str
    value: str  # the column that counts records
    trusted: str  # the column that counts those of them that are trusted
    columns: str  # those that name a cell within its slice, in the order of `layout`
    layout: "np.dtype[Any]"  # of a row in RowBinary: NAME, the columns of the key, COUNT

    def cells_of(self, counts: Counts) -> Cells:
        """The cells of the counted records of a slice."""

    def number(self, *key: Any) -> int:
        """A key, given as the values of its columns, as one number; ascends as the rows do."""

    def start_of(self, key: int) -> int:
        """Start of a cell's event-time window, in seconds since 1970: rows vanish with its age."""

    def describe(self, about: Finding, key: int, name: Callable[[bytes], str]) -> Finding:
        """The finding, with the cell that it is about; also its table, unless that is pin_minutes.

        `name` gives the label of a digest.
        """


def key_columns(aggregate: Aggregate) -> tuple[str, ...]:
    """Names of the columns of the key in the layout."""
    return (aggregate.layout.names or ())[len(NAME) : -len(COUNT)]


def cell_rows(aggregate: Aggregate, rows: NDArray[Any]) -> list[CellRow]:
    """The rows one by one."""
    return [
        CellRow(block, arrived_at, aggregate.number(*key), value, trusted, version)
        for block, arrived_at, *key, value, trusted, version in rows.tolist()
    ]
