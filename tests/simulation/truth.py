"""What must be, by tests/reference.py: what readers may see at any moment, and what must stand there in the end."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from schemas.rows import DeadLetterRow, LedgerRow
from schemas.rules import Rules
from schemas.sources import Source
from sinks.memory import CellKey, MemorySink, Origin, SliceKey
from tests.reference import Recount, ReferenceSlice, recount
from tests.simulation.logs import SimLog

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

FATES = ("counted", "duplicate", "late", "dead", "absent")


class Violation(AssertionError):
    """Something is in the sink that is not true, or is missing although the ledger vouches for it."""


class Truth:
    """The recount of all logs."""

    def __init__(self, logs: Sequence[SimLog], rules: Rules) -> None:
        self.rules = rules
        self.logs = {log.source.id: log for log in logs}
        self.cells: dict[CellKey, list[int]] = {}  # -> the offsets it counts
        self.slices: dict[SliceKey, ReferenceSlice] = {}
        self.cells_of: dict[SliceKey, list[CellKey]] = defaultdict(list)
        self.letters: dict[Origin, tuple[object, ...]] = {}
        self.totals: dict[tuple[int, ...], int] = defaultdict(int)  # action, minute, pin -> counted
        self.seen: dict[tuple[int, ...], int] = {}  # the same, as readers see it
        for log in logs:
            self._take(log, recount(log.records, log.start, log.end, rules, log.action))
        self._complete: set[SliceKey] = set()  # found complete and true

    def _take(self, log: SimLog, found: Recount) -> None:
        source = log.source
        for piece in found.slices:
            self.slices[source.id, piece.block, piece.arrived] = piece
        for (block, arrived, minute, pin), offsets in found.counted.items():
            key = (source.id, block, arrived, int(log.action), minute, pin)
            self.cells[key] = offsets
            self.cells_of[source.id, block, arrived].append(key)
            self.totals[key[3:]] += len(offsets)
        self.letters.update({(source, letter[0]): letter for letter in found.dead_letters})

    def reset(self, sink: MemorySink) -> None:
        """The sink was restored: look at all of it anew."""
        self._complete.clear()
        self.seen.clear()
        for key, (_, count) in sink.cells.items():
            self.seen[key[3:]] = self.seen.get(key[3:], 0) + count

    def check_cells(self, sink: MemorySink, before: Mapping[CellKey, int]) -> None:
        """No reader sees a total above the truth of the whole log; what the ledger vouches for stays."""
        for key, count in before.items():
            now = sink.cells[key][1]
            total = self.seen[key[3:]] = self.seen.get(key[3:], 0) + now - count
            if total > self.totals.get(key[3:], 0):
                raise Violation(f"readers see {total} for {_cell(key)}, the log holds {self.totals.get(key[3:], 0)}")
            if now < count and (row := sink.ledger.get(key[:3])):
                self._vouched(sink, row, [key])

    def check_ledger(self, sink: MemorySink, rows: Iterable[LedgerRow]) -> None:
        """What the ledger says is emitted is in the sink; complete slices are true to the last record."""
        for row in rows:
            newest = sink.ledger[row.source.id, row.block, row.arrived]
            self._vouched(sink, newest, self.cells_of.get((row.source.id, row.block, row.arrived), []))
            letters = {offset for source, offset in self.letters if source == row.source}
            missing = {o for o in letters if newest.start <= o < newest.position and (row.source, o) not in sink.dead_letters}
            if missing:
                raise Violation(f"{_row(newest)} is recorded, its dead letters {sorted(missing)} are not there")
        for source in {row.source for row in rows}:
            for row in complete(sink, source):
                self._check_complete(sink, row)

    def _vouched(self, sink: MemorySink, row: LedgerRow, keys: Iterable[CellKey]) -> None:
        for key in keys:
            must = sum(offset < row.position for offset in self.cells[key]) if key in self.cells else 0
            found = sink.cells.get(key, (0, 0))[1]
            if found < must:
                raise Violation(f"{_row(row)} is recorded, but {_cell(key)} is {found}, not {must}")

    def _check_complete(self, sink: MemorySink, row: LedgerRow) -> None:
        key = row.source.id, row.block, row.arrived
        if key in self._complete:
            return
        if (must := self.slices.get(key)) is None or _said(row) != _must(must):
            raise Violation(f"complete slice {_row(row)} {row.fates} should be {must}")
        for cell in self.cells_of[key]:
            if sink.cells.get(cell, (0, 0))[1] != len(self.cells[cell]):
                raise Violation(f"complete slice {_row(row)}: {_cell(cell)} is {sink.cells.get(cell)}")
        self._complete.add(key)

    def check_end(self, sink: MemorySink, buried: "AbstractSet[Origin]") -> None:
        """All of it, exactly: cells, ledger rows, dead letters in the table and on their topic."""
        cells = {key: count for key, (_, count) in sink.cells.items()}
        _equal("cells", cells, {key: len(offsets) for key, offsets in self.cells.items()})
        rows = {key: _said(row) for key, row in sink.ledger.items()}
        _equal("ledger rows", rows, {key: _must(piece) for key, piece in self.slices.items()})
        letters = {origin: _letter(row) for origin, row in sink.dead_letters.items()}
        _equal("dead letters", letters, self.letters)
        _equal("origins on the dead-letter topic", dict.fromkeys(buried), dict.fromkeys(self.letters))


def complete(sink: MemorySink, source: Source) -> list[LedgerRow]:
    """The slices from the start row on after which the next one has a row."""
    rows = {row.start: row for row in sink.ledger.values() if row.source == source}
    position = min((start.start for start in sink.starts if start.source == source), default=-1)
    found = []
    while (row := rows.get(position)) and row.position > position and row.position in rows:
        found.append(row)
        position = row.position
    return found


def _said(row: LedgerRow) -> tuple[object, ...]:
    fates = tuple(getattr(row.fates, name) for name in FATES)
    return row.start, row.start_clock, row.position, row.clock, fates, row.cells_sum


def _must(piece: ReferenceSlice) -> tuple[object, ...]:
    fates = tuple(piece.fates[name] for name in FATES)
    return piece.start, piece.start_clock, piece.position, piece.clock, fates, piece.fates["counted"]


def _letter(row: DeadLetterRow) -> tuple[object, ...]:
    return row.offset, row.timestamp, row.fate, row.key, row.value, row.headers


def _equal(what: str, found: Mapping[object, object], must: Mapping[object, object]) -> None:  # type: ignore[type-arg]
    if found != must:
        wrong = [(key, found.get(key), must.get(key)) for key in found.keys() | must.keys()]
        shown = [f"{key}: {is_}, not {should}" for key, is_, should in wrong if is_ != should]
        raise Violation(f"in the end {len(shown)} {what} differ: {sorted(shown)[:3]}")


def _cell(key: CellKey) -> str:
    return f"cell (block {key[1]}, arrived {key[2]}, action {key[3]}, minute {key[4]}, pin {key[5]})"


def _row(row: LedgerRow) -> str:
    return f"{row.source} [{row.start}, {row.position})"
