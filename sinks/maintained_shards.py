"""Maintenance of several sinks that share the pins: each step on all of them, before the next step on any.

So after a crash between two shards all of them have the steps before, and what is planned and applied again ends as one
run would. Start rows that only some shards have are written to the others when ledgers are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import Rows
from pintally.schemas.rows import NO_CELLS, DeadLetterRow, LedgerRow, LostRow, ReplacedRow, SliceSum, SourceLedger
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import CellTotals, MaintainedSink, MaintenanceSession
from pintally.sinks.shards import FurthestBehind, ShardedSession, ShardedSink, known_lost, side_by_side


class MaintainedShardsSession(ShardedSession):
    """A maintenance session on each shard. Dead letters are on shard 0."""

    def __init__(self, sessions: Sequence[MaintenanceSession], furthest_behind: FurthestBehind) -> None:
        super().__init__(sessions, furthest_behind)
        self._each = sessions

    def parts(self) -> Sequence[MaintenanceSession]:
        """The session of each shard."""
        return self._each

    def read_ledgers(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]] | None = None
    ) -> Mapping[Source, SourceLedger]:
        """As a worker reads them. What only some shards know to be lost or replaced is written to the others first: one
        was restored from before, or a command ended between two of them.
        """
        each = [session.read_ledgers(sources) for session in self._each]
        lost = known_lost(ledger for ledgers in each for ledger in ledgers.values())
        replaced = dict.fromkeys(row for ledgers in each for ledger in ledgers.values() for row in _replaced(ledger))
        for session, ledgers in zip(self._each, each, strict=True):
            known = {row for ledger in ledgers.values() for row in (*ledger.lost, *_replaced(ledger))}
            if unknown := [row for row in lost if row not in known]:
                session.write_lost(unknown)
            if missing := [row for row in replaced if row not in known]:
                session.write_replaced(missing)
        return super().read_ledgers(sources, first)

    def refuse_absent(self) -> None:
        """On each shard."""
        for session in self._each:
            session.refuse_absent()

    def write_lost(self, rows: Sequence[LostRow]) -> None:
        """On each shard."""
        for session in self._each:
            session.write_lost(rows)

    def write_replaced(self, rows: Sequence[ReplacedRow]) -> None:
        """On each shard."""
        for session in self._each:
            session.write_replaced(rows)

    def delete_superseded(self) -> None:
        """On each shard, by its own start rows."""
        for session in self._each:
            session.delete_superseded()

    def reopen_from(self, moment: int) -> None:
        """On each shard."""
        for session in self._each:
            session.reopen_from(moment)

    def reopen_unequal(self) -> list[str]:
        """On each shard; each thing that was done is said once."""
        return list(dict.fromkeys(words for session in self._each for words in session.reopen_unequal()))

    def newest_cut(self) -> int:
        """The newest that all have."""
        return min(session.newest_cut() for session in self._each)

    def reopen_early(self, lateness_seconds: int) -> None:
        """On each shard, by its own clock."""
        for session in self._each:
            session.reopen_early(lateness_seconds)

    def slice_sums(self, source: Source) -> Mapping[tuple[int, int], SliceSum]:
        """The cells of all shards, added up; the highest version and position of any."""
        found: dict[tuple[int, int], SliceSum] = {}
        for session in self._each:
            for name, each in session.slice_sums(source).items():
                found[name] = _added(found.get(name, NO_CELLS), each)
        return found

    def read_slice(self, kind: type[Rows], source: Source, slice_block: int, arrived_at: int) -> Rows:
        """The cells of all shards."""
        parts = [session.read_slice(kind, source, slice_block, arrived_at) for session in self._each]
        return kind.concat(parts)

    def cell_totals(self, sources: Sequence[Source]) -> CellTotals:
        """Those of all shards, by minute and pin; a pin is on one of them."""
        each = [session.cell_totals(sources) for session in self._each]
        minute, pin, count = (
            np.concatenate([getattr(totals, name) for totals in each]) for name in ("minute", "pin_id", "count")
        )
        order = np.lexsort((pin, minute))
        return CellTotals(minute[order], pin[order], count[order])

    def delete_cells(self, source: Source, slice_block: int, arrived_at: int, epoch: int | None = None) -> None:
        """On each shard."""
        for session in self._each:
            session.delete_cells(source, slice_block, arrived_at, epoch)

    def delete_ledger(self, rows: Sequence[LedgerRow]) -> None:
        """On each shard, the rows of these versions."""
        for session in self._each:
            session.delete_ledger(rows)

    def letter_offsets(self, source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of shard 0."""
        return self._each[0].letter_offsets(source)

    def read_dead_letters(self, source: Source, start: int, end: int) -> Sequence[DeadLetterRow]:
        """Of shard 0."""
        return self._each[0].read_dead_letters(source, start, end)

    def delete_letters(self, source: Source, offsets: Sequence[int]) -> None:
        """On shard 0."""
        self._each[0].delete_letters(source, offsets)

    def forget(self, source: Source) -> None:
        """On each shard."""
        for session in self._each:
            session.forget(source)


class MaintainedShards(ShardedSink):
    """Opens maintenance sessions on all shards."""

    def __init__(self, shards: Sequence[MaintainedSink], furthest_behind: FurthestBehind) -> None:
        """`furthest_behind` chooses among the ledgers of one source, one of each shard."""
        super().__init__(shards, furthest_behind)
        self._maintained = shards
        self._chooses = furthest_behind

    @contextmanager
    def session(self) -> Iterator[MaintainedShardsSession]:
        """Connect to all shards. Raises SinkUnavailable if one does not answer."""
        with ExitStack() as stack:
            sessions = side_by_side([partial(stack.enter_context, shard.session()) for shard in self._maintained])
            yield MaintainedShardsSession(sessions, self._chooses)


def _replaced(ledger: SourceLedger) -> tuple[ReplacedRow, ...]:
    return (*ledger.replaced, *([ledger.replaces] if ledger.replaces else []))


def _added(one: SliceSum, other: SliceSum) -> SliceSum:
    tables = one.sums.keys() | other.sums.keys()
    sums = {table: one.sums.get(table, 0) + other.sums.get(table, 0) for table in tables}
    return SliceSum(sums, max(one.version, other.version), max(one.position, other.position))
