"""What a worker needs of a sink: durable, ordered steps on one connection, each safe to repeat.

`sinks.maintenance` has what operators and sealing need beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from pintally.schemas.cells import CellRows
from pintally.schemas.rows import DeadLetterRow, LedgerRow, Newest, ReplacedRow, SourceLedger, StartRow
from pintally.schemas.sources import Source


class SinkSession(Protocol):
    """One connection that never reconnects by itself. After any error the session is over."""

    def read_clock(self) -> int:
        """The sink's own clock, in ms since 1970."""

    def read_ledgers(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]] | None = None
    ) -> Mapping[Source, SourceLedger]:
        """Of each source the lowest start row of each epoch, the newest ledger row of each slice by start, its lost
        rows, and what it replaces or is replaced by; every source has an entry. `first`, where given, has the block and
        bucket of the first slice whose row is read.
        """

    def read_back(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]] | None = None
    ) -> Mapping[Source, Newest]:
        """The highest epoch and ledger version of each source; every source has an entry. `first`, where given, has the
        block and bucket of the first slice whose row is read.
        """

    def write_claims(self, rows: Sequence[StartRow]) -> None:
        """Claim the epochs of start rows for their rules (see `sinks.claims`); returns when the claims are durable."""

    def write_starts(self, rows: Sequence[StartRow]) -> None:
        """Write start rows; returns when they are durable."""

    def write_cells(self, *tables: CellRows) -> None:
        """Write the cells of one aggregate or more, each to its table; returns when all are durable. Of equal keys the
        highest version stays, of equal versions the last.
        """

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        """Write dead letters; returns when they are durable. Of a (source, offset) the highest epoch stays."""

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        """Write ledger rows; returns when they are durable."""


class Sink(Protocol):
    """Opens sessions. Safe to share between threads; a session is not."""

    def session(self) -> AbstractContextManager[SinkSession]:
        """Open a connection. Raises SinkUnavailable if nobody answers, SinkError if it is refused."""

    def known_sources(self) -> Iterable[Source]:
        """Every source that has a start row, by topic and partition."""

    def replaced(self) -> Sequence[ReplacedRow]:
        """The replaced topics that took effect, by epoch."""
