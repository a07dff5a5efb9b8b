"""ClickHouse in a simulation: the sink in memory, whose every call is a point where the schedule decides."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import Any

from schemas.rows import CellRows, DeadLetterRow, LedgerRow, StartRow
from schemas.sources import Source
from sinks.base import Newest, SinkUnavailable, SourceLedger
from sinks.memory import CellKey, MemorySession, MemorySink, Origin, SliceKey
from tests.simulation.loop import blocking_call
from tests.simulation.truth import Truth

Copy = tuple[list[StartRow], dict[CellKey, tuple[int, int]], dict[SliceKey, LedgerRow], dict[Origin, DeadLetterRow]]
READS = ("read_ledgers", "read_back")
REMEMBERED = 4  # older states of the ledger that a stale read may show


class SimSink(MemorySink):
    """The tables, and what may happen to them. Whatever changes is compared with the truth at once."""

    reconnects = False  # a control sets it

    def __init__(self, truth: Truth) -> None:
        super().__init__()
        self.truth = truth
        self.epoch = 0  # connections do not outlive it
        self.down = False
        self.copies: list[Copy] = []
        self.late: list[tuple[str, Any]] = []  # inserts that went unanswered and are applied later
        self._older: list[tuple[list[StartRow], dict[SliceKey, LedgerRow]]] = []

    def open_session(self) -> "MemorySession":
        """What a worker gets; the schedule gives the answers."""
        return SimSession(self, blocking_call("open", at_once=self._open))

    def known_sources(self) -> Iterable[Source]:
        """Every source that has a start row."""
        found: Iterable[Source] = blocking_call("known_sources", at_once=self.known)
        return found

    def known(self) -> list[Source]:
        """The same, asked by the schedule."""
        return list(super().known_sources())

    def _open(self) -> int | SinkUnavailable:
        return SinkUnavailable("down") if self.down else self.epoch

    def read(self, name: str, *args: Any, stale: int = 0) -> Any:
        """Answer a read; `stale` says how many changes of the ledger it may miss."""
        source: MemorySink = self
        if stale and self._older:
            source = MemorySink()
            source.starts, source.ledger = self._older[-min(stale, len(self._older))]
        return getattr(MemorySession(source), name)(*args)

    def apply(self, name: str, rows: Any) -> None:
        """Apply an insert. Raises Violation if readers may see what is not true, or the ledger vouches for it."""
        if name in ("write_ledger", "write_starts"):
            self._remember()
        before = {key: self.truth.shown(self, key) for key in keys_of(rows)} if name == "write_cells" else {}
        getattr(MemorySession(self), name)(rows)
        if name == "write_cells":
            self.truth.check_cells(self, before)
        elif name == "write_ledger":
            self.truth.check_ledger(self, rows)

    def _remember(self) -> None:
        self._older = [*self._older[1 - REMEMBERED :], (list(self.starts), dict(self.ledger))]

    @property
    def has_hole(self) -> bool:
        """Whether some slice has a row and the one before it is not recorded to its end."""
        ends = {(row.source, row.position) for row in self.ledger.values()} | {(r.source, r.start) for r in self.starts}
        return any((row.source, row.start) not in ends for row in self.ledger.values())

    def copy(self) -> None:
        """Somebody makes a backup.

        Not of a ledger with a hole: read-back looks at the highest version alone, and would not see that the hole is
        back. ClickHouse has no such moment, a tick's ledger rows are one block of an unpartitioned table.
        """
        self.copies.append((list(self.starts), dict(self.cells), dict(self.ledger), dict(self.dead_letters)))

    def restore(self, copy: Copy) -> None:
        """Back to a backup: connections break, and what was on its way is gone."""
        starts, cells, ledger, dead_letters = copy
        self.starts, self.cells = list(starts), dict(cells)
        self.ledger, self.dead_letters = dict(ledger), dict(dead_letters)
        self.epoch += 1
        self._older.clear()
        self.late.clear()

    def change_rules(self, starts: Sequence[StartRow], kept: AbstractSet[SliceKey]) -> None:
        """What `rules apply` leaves behind: new start rows, and of their sources no rows but those of slices before."""
        self._remember()
        self.starts = [*self.starts, *starts]
        self.cells = {key: cell for key, cell in self.cells.items() if key[:3] in kept}
        self.ledger = {key: row for key, row in self.ledger.items() if key in kept}
        self.copies.clear()


class SimSession(MemorySession):
    """One connection of a worker."""

    def __init__(self, sink: SimSink, epoch: int) -> None:
        super().__init__(sink)
        self.epoch = epoch

    def _ask(self, name: str, rows: Any) -> Any:
        with self._step():
            pass
        return blocking_call(name, rows, self.epoch)

    def read_ledgers(self, sources: Sequence[Source]) -> Mapping[Source, SourceLedger]:
        found: Mapping[Source, SourceLedger] = self._ask("read_ledgers", sources)
        return found

    def read_back(self, sources: Sequence[Source]) -> Mapping[Source, Newest]:
        found: Mapping[Source, Newest] = self._ask("read_back", sources)
        return found

    def write_starts(self, rows: Sequence[StartRow]) -> None:
        self._ask("write_starts", rows)

    def write_cells(self, rows: CellRows) -> None:
        self._ask("write_cells", rows)

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        self._ask("write_dead_letters", rows)

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        self._ask("write_ledger", rows)


def keys_of(rows: CellRows) -> list[CellKey]:
    names = ("source", "block", "arrived", "action", "minute", "pin_id")
    return list(zip(*(getattr(rows, name).tolist() for name in names), strict=True))


def part_of(rows: Any, at: slice) -> Any:
    """Some of the rows of an insert."""
    if isinstance(rows, CellRows):
        return CellRows(*(getattr(rows, field.name)[at] for field in fields(rows)))
    return rows[at]
