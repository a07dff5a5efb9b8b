"""What operators and sealing need of a sink, beside what a worker needs (`sinks.base`)."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import Rows
from pintally.schemas.rows import DeadLetterRow, LedgerRow, LostRow, ReplacedRow, SliceSum
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink, SinkSession


@dataclass(frozen=True, slots=True)
class CellTotals:
    """Counted events by minute and pin, sorted by both; arrays of equal length."""

    minute: NDArray[np.uint32]  # seconds since 1970
    pin_id: NDArray[np.uint64]
    count: NDArray[np.uint64]


class MaintenanceSession(SinkSession, Protocol):
    """A session that also repairs, deletes, and opens sealed hours. Deleted rows are gone when a method returns."""

    def parts(self) -> "Sequence[MaintenanceSession]":
        """Where several servers share the pins, a session of each, shard 0 first; else itself."""

    def refuse_absent(self) -> None:
        """Raise SinkUnavailable if rows could not be deleted on every replica now."""

    def write_lost(self, rows: Sequence[LostRow]) -> None:
        """Write lost rows; returns when they are durable."""

    def write_replaced(self, rows: Sequence[ReplacedRow]) -> None:
        """Write replaced topics, in one insert; returns when they are durable."""

    def delete_superseded(self) -> None:
        """Delete all superseded cells, ledger rows and dead letters (C19, see `sinks/stale_rows.py`)."""

    def reopen_from(self, moment: int) -> None:
        """Open sealed hours from `moment` (seconds since 1970) on: readers take minutes until the next sealing."""

    def reopen_unequal(self) -> Sequence[str]:
        """Open sealed hours and days whose roll-up is not the sum of their minutes, pin by pin, and windows of features
        that are not what their cells say; put back cuts that are gone between others. Returns what was done, in words.
        """

    def newest_cut(self) -> int:
        """The newest published cut, in seconds since 1970; 0 if there is none."""

    def reopen_early(self, lateness_seconds: int) -> None:
        """Open hours that were sealed before their end + `lateness_seconds`, by the clock of the sink."""

    def slice_sums(self, source: Source) -> Mapping[tuple[int, int], SliceSum]:
        """The cells of each slice (slice_block, arrived_at in seconds since 1970) that has some, of every aggregate."""

    def read_slice(self, kind: type[Rows], source: Source, slice_block: int, arrived_at: int) -> Rows:
        """The cells of one aggregate in one slice, the highest version of each."""

    def cell_totals(self, sources: Sequence[Source]) -> CellTotals:
        """The pin-minutes of some sources, added up over slices and sources."""

    def delete_cells(self, source: Source, slice_block: int, arrived_at: int, epoch: int | None = None) -> None:
        """Delete the cells of one slice, of every aggregate, or only those of one epoch."""

    def delete_ledger(self, rows: Sequence[LedgerRow]) -> None:
        """Delete the ledger rows of these slices and versions."""

    def letter_offsets(self, source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The offsets of all late and of all invalid records among a source's dead letters, ascending."""

    def read_dead_letters(self, source: Source, start: int, end: int) -> Sequence[DeadLetterRow]:
        """The dead letters of the offsets [start, end), by offset, byte by byte."""

    def delete_letters(self, source: Source, offsets: Sequence[int]) -> None:
        """Delete the dead letters of these offsets."""

    def forget(self, source: Source) -> None:
        """Delete all cells, ledger rows and dead letters of a source."""


class MaintainedSink(Sink, Protocol):
    """A sink whose sessions also do maintenance."""

    def session(self) -> AbstractContextManager[MaintenanceSession]:
        """Open a connection. Raises SinkUnavailable if nobody answers, SinkError if it is refused."""
