"""The contract of an aggregate in the audit: how the rows of its table are read, and what they must be."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pintally.audit.events import Events
from pintally.audit.findings import Finding
from pintally.audit.flushed import EPOCH_SHIFT, POSITION_MASK

NAME = [("slice_block", "<u4"), ("arrived_at", "<u4")]  # of a slice: the first columns of every layout
COUNT = [("value", "<u8"), ("version", "<u8")]  # the last ones


class CellRow(NamedTuple):
    """A row of a table of cells; times in seconds since 1970."""

    slice_block: int
    arrived_at: int
    key: int  # what names the cell within its slice, as one number; ascends as the rows do
    value: int
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
    """An aggregate whose cells count records: each counted record adds one to one cell."""

    table: str
    value: str  # the column that counts
    key: str  # the columns that name a cell within its slice, in the order of `layout`
    layout: "np.dtype[Any]"  # of a row in RowBinary: NAME, the columns of the key, COUNT

    def keys_of(self, action: int, minutes: NDArray[np.uint32], events: Events) -> tuple[NDArray[Any], ...]:
        """The cells that counted records add to, as the columns of the key.

        `action` is the number of their action, `minutes` (seconds since 1970) are those of the events.
        """

    def number(self, *key: int) -> int:
        """A key as one number; ascends as the rows do."""

    def start_of(self, key: int) -> int:
        """Start of a cell's event-time window, in seconds since 1970: rows vanish with its age."""

    def describe(self, about: Finding, key: int) -> Finding:
        """The finding, with the cell that it is about; also its table, unless that is pin_minutes."""


def key_columns(aggregate: Aggregate) -> tuple[str, ...]:
    """Names of the columns of the key in the layout."""
    return (aggregate.layout.names or ())[len(NAME) : -len(COUNT)]


def cell_rows(aggregate: Aggregate, rows: NDArray[Any]) -> list[CellRow]:
    """The rows one by one."""
    return [
        CellRow(block, arrived_at, aggregate.number(*key), value, version)
        for block, arrived_at, *key, value, version in rows.tolist()
    ]
