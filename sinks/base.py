"""The contract of a sink: durable, ordered steps on one connection, each safe to repeat."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.rows import (
    CellRows,
    DeadLetterRow,
    LedgerRow,
    LostRow,
    Newest,
    ReplacedRow,
    SliceSum,
    SourceLedger,
    StartRow,
)
from pintally.schemas.sources import Source


@dataclass(frozen=True, slots=True)
class CellTotals:
    """Counted events a minute and pin, by minute and pin; arrays of one length."""

    minute: NDArray[np.uint32]  # seconds since 1970
    pin_id: NDArray[np.uint64]
    count: NDArray[np.uint64]


class SinkSession(Protocol):
    """One connection that never reconnects by itself. After any error the session is over."""

    def read_clock(self) -> int:
        """The sink's own clock, in ms since 1970."""

    def read_ledgers(self, sources: Sequence[Source]) -> Mapping[Source, SourceLedger]:
        """Start rows (the lowest start of each epoch), ledger rows (newest version of each slice), lost rows."""

    def read_back(self, sources: Sequence[Source]) -> Mapping[Source, Newest]:
        """The highest epoch and ledger version of each source; every source has an entry."""

    def write_starts(self, rows: Sequence[StartRow]) -> None:
        """Write start rows; returns when they are durable."""

    def write_cells(self, rows: CellRows) -> None:
        """Write cells; returns when they are durable. Of equal keys the highest version stays."""

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        """Write dead letters; of a (source, offset) the highest epoch stays."""

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        """Write ledger rows; returns when they are durable."""

    def write_lost(self, rows: Sequence[LostRow]) -> None:
        """Write lost rows; returns when they are durable."""

    def write_replaced(self, rows: Sequence[ReplacedRow]) -> None:
        """Write which topics take the place of others, all at once; returns when they are durable."""

    def delete_superseded(self) -> None:
        """Delete superseded cells, ledger rows and dead letters (C19, see `sinks/stale_rows.py`), all; gone on
        return.
        """

    def reopen_from(self, moment: int) -> None:
        """Have sealed hours from `moment` (seconds since 1970) on read from minutes until they are sealed again."""

    def reopen_unequal(self) -> None:
        """The same for sealed hours whose roll-up is not the sum of their minutes."""

    def reopen_early(self, lateness_seconds: int) -> None:
        """The same for hours that were sealed before their end and so many seconds, by the sink's clock."""

    def slice_sums(self, source: Source) -> Mapping[tuple[int, int], SliceSum]:
        """The cells of each slice (slice_block, arrived_at in seconds since 1970) that has some."""

    def read_slice(self, source: Source, slice_block: int, arrived_at: int) -> CellRows:
        """The cells of one slice, the highest version of each."""

    def cell_totals(self, sources: Sequence[Source]) -> CellTotals:
        """The cells of some sources, added up over slices and sources."""

    def delete_cells(self, source: Source, slice_block: int, arrived_at: int, epoch: int | None = None) -> None:
        """Delete the cells of one slice, or only those of one epoch; gone on return."""

    def delete_ledger(self, rows: Sequence[LedgerRow]) -> None:
        """Delete the ledger rows of these slices and versions; gone on return."""

    def letter_offsets(self, source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The offsets of all late and of all dead letters of a source, ascending."""

    def read_dead_letters(self, source: Source, start: int, end: int) -> Sequence[DeadLetterRow]:
        """The dead letters of the offsets [start, end), by offset."""

    def forget(self, source: Source) -> None:
        """Delete all cells, ledger rows and dead letters of a source; gone on return."""

    def delete_letters(self, source: Source, offsets: Sequence[int]) -> None:
        """Delete the dead letters of these offsets; gone on return."""


class Sink(Protocol):
    """Opens sessions. Safe to share between threads; a session is not."""

    def session(self) -> AbstractContextManager[SinkSession]:
        """Open a connection. Raises SinkUnavailable if nobody answers, SinkError if it is refused."""

    def known_sources(self) -> Iterable[Source]:
        """Every source that has a start row."""

    def replaced(self) -> Sequence[ReplacedRow]:
        """Which topics took the place of others, by epoch; only what took effect."""

    def read_cells(self) -> CellRows:
        """All cells as readers see them (highest version of each key), for tests and small tables."""
