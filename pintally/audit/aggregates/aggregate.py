"""The contract of an aggregate in the audit: how the rows of its table are read, and what they must be."""

from struct import Struct
from typing import NamedTuple, Protocol

from pintally.audit.contract import Event
from pintally.audit.findings import Finding
from pintally.audit.flushed import EPOCH_SHIFT, POSITION_MASK


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
    layout: Struct  # of a row in RowBinary: slice_block, arrived_at, the key, the value, version

    def row(self, *fields: int) -> CellRow:
        """A row of the table from the fields of `layout`."""

    def key_of(self, action: int, minute: int, event: Event) -> int:
        """The cell that a counted record adds to: its action's number, its minute in seconds since 1970, its event."""

    def start_of(self, key: int) -> int:
        """Start of a cell's event-time window, in seconds since 1970: rows vanish with its age."""

    def describe(self, about: Finding, key: int) -> Finding:
        """The finding, with the cell that it is about; also its table, unless that is pin_minutes."""
