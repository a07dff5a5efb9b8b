"""What must be, by tests/reference.py: what readers may see at any moment, and what must stand there in the end."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.rows import GENERATION_SHIFT, DeadLetterRow, LedgerRow
from schemas.rules import Rules
from schemas.sources import Source
from sinks.memory import CellKey, MemorySink, Origin, SliceKey
from tests.reference import Recount, ReferenceSlice, recount
from tests.simulation.logs import SimLog

FATES = ("counted", "duplicate", "late", "dead", "absent")


class Violation(AssertionError):
    """Something is in the sink that is not true, or is missing although the ledger vouches for it."""


class Truth:
    """The recount of all logs, under the first rules up to a boundary and under the second ones from there on."""

    def __init__(self, logs: Sequence[SimLog], rules: Rules) -> None:
        self.logs = {log.source.id: log for log in logs}
        self.buried: set[Origin] = set()  # acknowledged by the dead-letter topic
        self.generation = 0
        self.boundaries: dict[int, int] = {}  # source -> where the second rules begin
        self._clear()
        for log in logs:
            self._take(log, recount(log.records, log.start, log.end, rules, log.action))
        self._first = dict(self.slices)

    def _clear(self) -> None:
        self.cells: dict[CellKey, list[int]] = {}  # -> the offsets it counts
        self.slices: dict[SliceKey, ReferenceSlice] = {}
        self.cells_of: dict[SliceKey, list[CellKey]] = defaultdict(list)
        self.letters: dict[Origin, tuple[object, ...]] = {}
        self.totals: dict[tuple[int, ...], int] = defaultdict(int)  # action, minute, pin -> counted
        self.seen: dict[tuple[int, ...], int] = {}  # the same, as readers see it
        self._complete: set[SliceKey] = set()  # found complete and true

    def change_rules(self, sink: MemorySink, before: Rules, after: Rules, boundaries: Mapping[Source, int]) -> None:
        """The next generation of rules holds from these offsets on."""
        self._clear()
        self.generation += 1
        self.boundaries = {source.id: offset for source, offset in boundaries.items()}
        for log in self.logs.values():
            boundary = self.boundaries[log.source.id]
            self._take(log, recount(log.records, log.start, boundary, before, log.action))
            later = recount(log.records, log.start, log.end, after, log.action, count_from=boundary)
            self._take(log, later)
        self.reset(sink)

    def is_void(self, key: SliceKey, version: int) -> bool:
        """Rule 19: said by the first rules of a slice that is not theirs."""
        if version >> GENERATION_SHIFT >= self.generation:
            return False
        first = self._first.get(key)
        return first is None or first.start >= self.boundaries[key[0]]

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
        """The sink was restored or cleared in part: look at all of it anew."""
        self._complete.clear()
        self.seen.clear()
        for key in sink.cells:
            self.seen[key[3:]] = self.seen.get(key[3:], 0) + self.shown(sink, key)

    def shown(self, sink: MemorySink, key: CellKey) -> int:
        """The count of a cell; void ones are sealing's to delete."""
        version, count = sink.cells.get(key, (0, 0))
        return 0 if self.generation and self.is_void(key[:3], version) else count

    def check_cells(self, sink: MemorySink, before: Mapping[CellKey, int]) -> None:
        """No reader sees a total above the truth of the whole log; what the ledger vouches for stays."""
        for key, count in before.items():
            now = self.shown(sink, key)
            total = self.seen[key[3:]] = self.seen.get(key[3:], 0) + now - count
            if total > self.totals.get(key[3:], 0):
                raise Violation(f"readers see {total} for {_cell(key)}, the log holds {self.totals.get(key[3:], 0)}")
            if now < count and (row := sink.ledger.get(key[:3])):
                self._vouched(sink, row, [key])

    def check_ledger(self, sink: MemorySink, rows: Iterable[LedgerRow]) -> None:
        """What the ledger says is emitted is there; complete slices are true to the last record."""
        keys = {(row.source.id, row.block, row.arrived): row.source for row in rows}
        for key, source in keys.items():
            newest = sink.ledger[key]
            if self.is_void(key, newest.version):
                continue
            self._vouched(sink, newest, self.cells_of.get(key, []))
            letters = {(s, o) for s, o in self.letters if s == source and newest.start <= o < newest.position}
            for place, found in ("table", sink.dead_letters.keys()), ("topic", self.buried):
                if not letters <= found:
                    raise Violation(f"{_row(newest)} is recorded before its dead letters are in their {place}")
        for source in set(keys.values()):
            for row in self._complete_rows(sink, source):
                self._check_complete(sink, row)

    def _vouched(self, sink: MemorySink, row: LedgerRow, keys: Iterable[CellKey]) -> None:
        for key in keys:
            must = sum(offset < row.position for offset in self.cells[key]) if key in self.cells else 0
            found = self.shown(sink, key)
            if found < must:
                raise Violation(f"{_row(row)} is recorded, but {_cell(key)} is {found}, not {must}")

    def _complete_rows(self, sink: MemorySink, source: Source) -> list[LedgerRow]:
        """The slices from the start row on after which the next one has a row, without void rows."""
        rows = {
            row.start: row
            for key, row in sink.ledger.items()
            if row.source == source and not self.is_void(key, row.version)
        }
        position = min((start.start for start in sink.starts if start.source == source), default=-1)
        found = []
        while (row := rows.get(position)) and row.position > position and row.position in rows:
            found.append(row)
            position = row.position
        return found

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

    def check_end(self, sink: MemorySink) -> None:
        """All of it, exactly: cells, ledger rows, dead letters in the table and on their topic."""
        cells = {k: count for k, (version, count) in sink.cells.items() if not self.is_void(k[:3], version)}
        _equal("cells", cells, {key: len(offsets) for key, offsets in self.cells.items()})
        rows = {key: _said(row) for key, row in sink.ledger.items() if not self.is_void(key, row.version)}
        _equal("ledger rows", rows, {key: _must(piece) for key, piece in self.slices.items()})
        letters = {origin: _letter(row) for origin, row in sink.dead_letters.items() if not self._outdated(origin)}
        _equal("dead letters", letters, self.letters)
        buried = {origin: True for origin in self.buried if not self._outdated(origin)}
        _equal("origins on the dead-letter topic", buried, dict.fromkeys(self.letters, True))

    def _outdated(self, origin: Origin) -> bool:
        """A dead letter by the first rules that is none by the second: it stays, as a record of what was said."""
        source, offset = origin
        return self.generation > 0 and offset >= self.boundaries[source.id] and origin not in self.letters


def _said(row: LedgerRow) -> tuple[object, ...]:
    fates = tuple(getattr(row.fates, name) for name in FATES)
    return row.start, row.start_clock, row.position, row.clock, fates, row.cells_sum


def _must(piece: ReferenceSlice) -> tuple[object, ...]:
    fates = tuple(piece.fates[name] for name in FATES)
    return piece.start, piece.start_clock, piece.position, piece.clock, fates, piece.fates["counted"]


def _letter(row: DeadLetterRow) -> tuple[object, ...]:
    return row.offset, row.timestamp, row.fate, row.key, row.value, row.headers


def _equal(what: str, found: Mapping[Any, object], must: Mapping[Any, object]) -> None:
    if found != must:
        wrong = [(key, found.get(key), must.get(key)) for key in found.keys() | must.keys()]
        shown = [f"{key}: {is_}, not {should}" for key, is_, should in wrong if is_ != should]
        raise Violation(f"in the end {len(shown)} {what} differ: {sorted(shown)[:3]}")


def _cell(key: CellKey) -> str:
    return f"cell (block {key[1]}, arrived {key[2]}, action {key[3]}, minute {key[4]}, pin {key[5]})"


def _row(row: LedgerRow) -> str:
    return f"{row.source} [{row.start}, {row.position})"
