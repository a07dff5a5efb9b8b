"""The sink that is ClickHouse."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

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
from pintally.sinks.base import CellTotals, SinkSession
from pintally.sinks.clickhouse import (
    dead_letters as letters,
)
from pintally.sinks.clickhouse import (
    ledger,
    replaced,
    server,
)
from pintally.sinks.clickhouse import (
    maintenance as slices,
)
from pintally.sinks.clickhouse import (
    minutes as cells,
)
from pintally.sinks.clickhouse import (
    stale_rows as superseded,
)
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.row_policies import refuse_hidden_rows
from pintally.sinks.clickhouse.sealing import early, seal
from pintally.sinks.clickhouse.sealing import mismatches as unequal


class ClickHouseSink:
    """Sessions on one ClickHouse server. Safe to share between threads; a session is not."""

    def __init__(self, address: ClickHouseAddress, timeout_seconds: float = 30, *, only_reads: bool = False) -> None:
        """`timeout_seconds` bounds each wait for an answer, not a whole insert. `only_reads`: a user who may only read
        will do, and every write is an error."""
        self.address = address
        self.timeout_seconds = timeout_seconds
        self.only_reads = only_reads

    def __repr__(self) -> str:
        return f"ClickHouseSink({self.address})"

    @contextmanager
    def session(self) -> Iterator[SinkSession]:
        """Connect. Raises SinkUnavailable if nobody answers, SinkError if the login or the database is refused."""
        with Connection(self.address, self.timeout_seconds, only_reads=self.only_reads) as connection:
            refuse_hidden_rows(connection)
            yield ClickHouseSession(connection)

    def known_sources(self) -> Iterable[Source]:
        """Every source that has a start row."""
        with Connection(self.address, self.timeout_seconds, only_reads=True) as connection:
            return ledger.known_sources(connection)

    def replaced(self) -> Sequence[ReplacedRow]:
        """Which topics took the place of others, by epoch; only what took effect."""
        with Connection(self.address, self.timeout_seconds, only_reads=True) as connection:
            return replaced.read_replaced(connection)

    def read_cells(self) -> CellRows:
        """All cells, the highest version of each key, in the order of the table's key."""
        with Connection(self.address, self.timeout_seconds, only_reads=True) as connection:
            return cells.read_cells(connection)


class ClickHouseSession:
    """One connection. After any error every call raises SinkUnavailable."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def read_clock(self) -> int:
        """The server's clock, in ms since 1970."""
        return server.read_clock(self.connection)

    def read_ledgers(self, sources: Sequence[Source]) -> Mapping[Source, SourceLedger]:
        """The lowest start of each epoch, and the newest row of each slice by start; every source has an entry."""
        return ledger.read_ledgers(self.connection, sources)

    def read_back(self, sources: Sequence[Source]) -> Mapping[Source, Newest]:
        """The highest epoch and ledger version of each source; every source has an entry."""
        return ledger.read_back(self.connection, sources)

    def write_starts(self, rows: Sequence[StartRow]) -> None:
        """Insert start rows; durable on return."""
        ledger.write_starts(self.connection, rows)

    def write_cells(self, rows: CellRows) -> None:
        """Insert cells; durable on return."""
        cells.write_cells(self.connection, rows)

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        """Insert dead letters; durable on return."""
        letters.write_dead_letters(self.connection, rows)

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        """Insert ledger rows; durable on return."""
        ledger.write_ledger(self.connection, rows)

    def write_lost(self, rows: Sequence[LostRow]) -> None:
        """Insert lost rows; durable on return."""
        ledger.write_lost(self.connection, rows)

    def write_replaced(self, rows: Sequence[ReplacedRow]) -> None:
        """Insert which topics take the place of others; durable on return."""
        replaced.write_replaced(self.connection, rows)

    def delete_superseded(self) -> None:
        """Delete superseded cells, ledger rows and dead letters; gone on return."""
        superseded.delete_superseded(self.connection, 0, superseded.LAST_SECOND)

    def reopen_from(self, moment: int) -> None:
        """Have sealed hours from `moment` on read from minutes until they are sealed again."""
        seal.reopen_sealed_from(self.connection, moment)

    def reopen_unequal(self) -> None:
        """The same for sealed hours and days whose roll-up is not the sum of their minutes, pin by pin."""
        unequal.reopen_unequal(self.connection)

    def reopen_early(self, lateness_seconds: int) -> None:
        """The same for hours that were sealed before their end and so many seconds."""
        early.reopen_early(self.connection, lateness_seconds)

    def slice_sums(self, source: Source) -> Mapping[tuple[int, int], SliceSum]:
        """The cells of each slice that has some, added up."""
        return slices.slice_sums(self.connection, source)

    def read_slice(self, source: Source, slice_block: int, arrived_at: int) -> CellRows:
        """The cells of one slice, the highest version of each."""
        return slices.read_slice(self.connection, source, slice_block, arrived_at)

    def cell_totals(self, sources: Sequence[Source]) -> CellTotals:
        """The cells of some sources, added up over slices and sources."""
        return slices.cell_totals(self.connection, sources)

    def delete_cells(self, source: Source, slice_block: int, arrived_at: int, epoch: int | None = None) -> None:
        """Delete the cells of one slice, or only those of one epoch; gone on return."""
        slices.delete_cells(self.connection, source, slice_block, arrived_at, epoch)

    def delete_ledger(self, rows: Sequence[LedgerRow]) -> None:
        """Delete the ledger rows of these slices and versions; gone on return."""
        slices.delete_ledger(self.connection, rows)

    def letter_offsets(self, source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The offsets of all late and of all dead letters of a source, ascending."""
        return slices.letter_offsets(self.connection, source)

    def read_dead_letters(self, source: Source, start: int, end: int) -> Sequence[DeadLetterRow]:
        """The dead letters of the offsets [start, end), by offset."""
        return slices.read_dead_letters(self.connection, source, start, end)

    def forget(self, source: Source) -> None:
        """Delete all cells, ledger rows and dead letters of a source; gone on return."""
        slices.forget(self.connection, source)

    def delete_letters(self, source: Source, offsets: Sequence[int]) -> None:
        """Delete the dead letters of these offsets; gone on return."""
        slices.delete_letters(self.connection, source, offsets)
