"""What must be, by the reference: what readers may see at any moment, and what must stand there in the end."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pintally.schemas.cells import CELL_TABLES, ArmMemberRows, CellRows, ExperimentRows, PinMemberRows, PinMinuteRows
from pintally.schemas.rows import EPOCH_SHIFT, DeadLetterRow, LedgerRow, LostRow, StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from tests.simulation.logs import KEYS, NAMED, SimLog
from tests.support.memory_sink import CellKey, MemorySink, Origin, SliceKey, Values
from tests.support.reference import Recount, ReferenceSlice, recount

OUTCOMES = ("counted", "duplicate", "late", "invalid", "gaps")
TABLES = {kind.table: kind for kind in CELL_TABLES}
Letter = tuple[object, ...]
Key = tuple[Any, ...]  # source, slice_block, arrived_at, table, and what else names a cell there


class Violation(AssertionError):
    """Something is in the sink that is not true, or is missing although the ledger vouches for it."""


class Truth:
    """The recount of all logs, each piece under the rules that start_row there; which these are, the start rows say."""

    def __init__(self, logs: Sequence[SimLog], rules: Rules) -> None:
        self.logs = {log.source.id: log for log in logs}
        self.buried: set[Origin] = set()  # acknowledged by the dead-letter topic
        # Before anybody has begun a source it is expected to be counted by these.
        self.epochs = {log.source.id: [StartRow(log.source, 0, log.start, 0, rules.to_json())] for log in logs}
        self.lost: list[LostRow] = []
        self.log_starts = {log.source.id: log.start for log in logs}  # by now
        self.said: dict[SliceKey, set[int]] = defaultdict(set)  # epochs that ever knew such a slice
        self.is_damaged = False  # somebody ruined rows, and nobody has repaired them all
        self.letters_before: dict[Origin, set[Letter]] = defaultdict(set)  # true by rules of some time
        self._recount()

    @property
    def has_letters(self) -> bool:
        """Whether dead letters are on this server. Its ledger rows are those of all (C34)."""
        return True

    def is_here(self, _: Key) -> bool:
        """Whether a cell is on this server (C33)."""
        return True

    def _recount(self) -> None:
        self.cells: dict[Key, list[int]] = {}  # -> the offsets it counts
        self.sums: dict[SliceKey, dict[str, int]] = {}  # of what is counted beside pin-minutes
        self.trusted: set[tuple[int, int]] = set()  # source and offset of the records that are trusted
        self.slices: dict[SliceKey, ReferenceSlice] = {}
        self.epoch_of: dict[SliceKey, int] = {}
        self.cells_of: dict[SliceKey, list[Key]] = defaultdict(list)
        self.ahead: dict[Key, list[int]] = {}  # -> offsets of lost ranges that it may count too
        self.letters: dict[Origin, Letter] = {}
        self.letters_ahead: dict[Origin, Letter] = {}  # of lost ranges: may be there too
        self.totals: dict[tuple[Any, ...], int] = defaultdict(int)  # the key of a cell but for its slice -> counted
        self.seen: dict[tuple[Any, ...], int] = {}  # the same, as readers see it
        self.open: set[SliceKey] = set()  # slices that were cut short, or not begun, when the rest of them was lost
        self._complete: set[SliceKey] = set()  # found complete and true
        for log in self.logs.values():
            epochs = self.epochs[log.source.id]
            first = epochs[0]  # of those whose ids are known
            for start_row, end in zip(epochs, [*(row.start for row in epochs[1:]), log.end], strict=True):
                if (log.source.id, start_row.start) in self.gaps:
                    first = start_row
                gap = self.gaps.get((log.source.id, end))
                counting = partial(self._count, log, first, start_row)
                if gap:
                    self._take_ahead(log, counting(gap.end), start_row.epoch, gap.start)
                self._take(log, counting(gap.start if gap else end), start_row)

    def _count(self, log: SimLog, first: StartRow, start_row: StartRow, end: int) -> Recount:
        rules = Rules.from_json(start_row.rules)
        stream_time, count_from = first.start_stream_time, start_row.start
        return recount(log.records, first.start, end, rules, log.action, stream_time, count_from, NAMED, KEYS)

    @property
    def gaps(self) -> dict[tuple[int, int], LostRow]:
        """What was given up, by source and end: there some rules begin."""
        begins = {(source, start_row.start) for source, epochs in self.epochs.items() for start_row in epochs}
        return {at: row for row in self.lost if (at := (row.source.id, row.end)) in begins}

    def _take_ahead(self, log: SimLog, found: Recount, epoch: int, start: int) -> None:
        """A flush that was cut off may have told of more than the ledger: that is true, and not counted again."""
        for piece in found.slices:
            if piece.position > start:
                key = log.source.id, piece.slice_block, piece.arrived_at
                self.epoch_of[key] = epoch
                self.said[key].add(epoch)
                self.open.add(key)
        self.trusted |= {(log.source.id, offset) for offset in found.trusted}
        for cell, offsets in _cells(log, found):
            if beyond := [offset for offset in offsets if offset >= start]:
                self.ahead[cell] = beyond
                self.totals[cell[3:]] += len(beyond)
        for letter in found.dead_letters:
            self.letters_before[log.source, letter[0]].add(letter)
            if letter[0] >= start:
                self.letters_ahead[log.source, letter[0]] = letter

    def _take(self, log: SimLog, found: Recount, start_row: StartRow) -> None:
        source, epoch, rules = log.source, start_row.epoch, Rules.from_json(start_row.rules)
        users, arms = bool(rules.user_key), bool(rules.experiments)
        beside = {PinMemberRows.table: users, ExperimentRows.table: arms, ArmMemberRows.table: users and arms}
        for piece in found.slices:
            key = source.id, piece.slice_block, piece.arrived_at
            if self.epoch_of.get(key, epoch) != epoch:  # a slice of that name was given up unwritten
                self.open.discard(key)
                for cell in [cell for cell in self.ahead if cell[:3] == key]:
                    self.totals[cell[3:]] -= len(self.ahead.pop(cell))
            self.slices[key] = piece
            self.sums[key] = {table: 0 for table, is_counted in beside.items() if is_counted}
            self.epoch_of[key] = epoch
            self.said[key].add(epoch)
        self.trusted |= {(source.id, offset) for offset in found.trusted}
        for cell, offsets in _cells(log, found):
            if cell[3] in beside:
                self.sums[cell[:3]][cell[3]] += len(offsets)
            if self.is_here(cell):
                self.cells[cell] = offsets
                self.cells_of[cell[:3]].append(cell)
                self.totals[cell[3:]] += len(offsets)
        for letter in found.dead_letters:
            self.letters[source, letter[0]] = letter
            self.letters_before[source, letter[0]].add(letter)

    def begin(self, sink: MemorySink, restored: bool = False) -> None:
        """Start rows were written, or restored. Raises Violation unless each new epoch start is a true slice start."""
        epochs = {log.source.id: _in_force(sink.starts, log.source) for log in self.logs.values()}
        known = {source: new or self.epochs[source] for source, new in epochs.items()}
        if known == self.epochs and self.lost == sink.lost:
            if restored:
                self.reset(sink)
            return
        cuts = {(row.source.id, row.epoch, row.end) for row in sink.lost}
        for source, row in ((source, row) for source, new in epochs.items() if not restored for row in new):
            if row not in self.epochs[source] and (source, row.epoch, row.start) not in cuts:
                self._check_start(source, row)
        self.epochs, self.lost = known, list(sink.lost)
        self._recount()
        self.reset(sink)

    def _check_start(self, source: int, row: StartRow) -> None:
        log = self.logs[source]
        starts = {(piece.start, piece.start_stream_time) for key, piece in self.slices.items() if key[0] == source}
        gaps = {
            (start_row.start, start_row.start_stream_time)
            for start_row in self.epochs[source]
            if (source, start_row.start) in self.gaps
        }
        if (row.start, row.start_stream_time) not in starts | gaps | {(log.start, 0), (self.log_starts[source], 0)}:
            raise Violation(f"{row} begins where no slice does")

    def is_superseded(self, key: SliceKey, version: int) -> bool:
        """C19: said by other rules than those that start_row in the slice."""
        epoch = version >> EPOCH_SHIFT
        epochs = self.epochs[key[0]]
        if epoch == epochs[-1].epoch or self.epoch_of.get(key) == epoch:
            return False
        return epoch < epochs[-1].epoch and epoch in self.said[key]

    def reset(self, sink: MemorySink) -> None:
        """The sink was restored or cleared in part: look at all of it anew."""
        self._complete.clear()
        self.seen.clear()
        for key in all_cells(sink):
            self.seen[key[3:]] = self.seen.get(key[3:], 0) + self.shown(sink, key)

    def shown(self, sink: MemorySink, key: Key) -> int:
        """The count of a cell; superseded ones are sealing's to delete."""
        version, count, *_ = _row_of(sink, key) or (0, 0)
        return 0 if self.is_superseded(key[:3], version) else count

    def check_cells(self, sink: MemorySink, before: Mapping[Key, int]) -> None:
        """No reader sees a total above the truth of the whole log; what the ledger vouches for stays."""
        if self.is_damaged:
            return
        for key, count in before.items():
            now = self.shown(sink, key)
            total = self.seen[key[3:]] = self.seen.get(key[3:], 0) + now - count
            if total > self.totals.get(key[3:], 0):
                raise Violation(f"readers see {total} for {_cell(key)}, the log holds {self.totals.get(key[3:], 0)}")
            if now < count and (row := sink.ledger.get(key[:3])) and not self.is_superseded(key[:3], row.version):
                self._vouched(sink, row, [key])

    def check_ledger(self, sink: MemorySink, rows: Iterable[LedgerRow]) -> None:
        """What the ledger says is flushed is there; complete slices are true to the last record."""
        if self.is_damaged:
            return
        keys = {(row.source.id, row.slice_block, row.arrived_at): row.source for row in rows}
        for key, source in keys.items():
            newest = sink.ledger[key]
            if self.is_superseded(key, newest.version):
                continue
            self._vouched(sink, newest, self.cells_of.get(key, []))
            letters = {(s, o) for s, o in self.letters if s == source and newest.start <= o < newest.position}
            table = {at for at, letter in sink.dead_letters.items() if letter.epoch == newest.epoch}
            for place, found in (("table", table), ("topic", self.buried))[not self.has_letters :]:
                if not letters <= found:
                    raise Violation(f"{_row(newest)} is recorded before its dead letters are in their {place}")
        for source in set(keys.values()):
            for row in self._complete_rows(sink, source):
                self._check_complete(sink, row)

    def check_replica(self, sink: MemorySink) -> None:
        """A replica that lags shows less of a cell than there is, never more; what is superseded is sealing's."""
        if self.is_damaged:
            return
        for key, (version, count, *_) in all_cells(sink).items():
            most = len(self.cells.get(key, ())) + len(self.ahead.get(key, ()))
            if count > most and not self.is_superseded(key[:3], version):
                raise Violation(f"a replica shows {count} for {_cell(key)}, the log holds {most}")

    def complete_slices(self, sink: MemorySink) -> set[SliceKey]:
        """The slices that no worker will write again."""
        sources = [log.source for log in self.logs.values()]
        rows = [row for source in sources for row in self._complete_rows(sink, source)]
        return {(row.source.id, row.slice_block, row.arrived_at) for row in rows}

    def repaired(self, sink: MemorySink, everywhere: Container[SliceKey]) -> None:
        """The slices that are complete on all servers are said to be as they must be.

        Further ones are counted again: workers restore from the shard furthest behind (seed 15801).
        """
        self.is_damaged = False
        self.reset(sink)
        for log in self.logs.values():
            for row in self._complete_rows(sink, log.source):
                if (row.source.id, row.slice_block, row.arrived_at) in everywhere:
                    self._check_complete(sink, row)
                else:
                    self.is_damaged = True

    def _vouched(self, sink: MemorySink, row: LedgerRow, keys: Iterable[Key]) -> None:
        for key in keys:
            must = sum(offset < row.position for offset in self.cells[key]) if key in self.cells else 0
            found = self.shown(sink, key)
            if found < must:
                raise Violation(f"{_row(row)} is recorded, but {_cell(key)} is {found}, not {must}")

    def _complete_rows(self, sink: MemorySink, source: Source) -> list[LedgerRow]:
        """The slices from the start row on after which the next one has a row or other rules, without superseded
        rows.
        """
        rows = {
            row.start: row
            for key, row in sink.ledger.items()
            if row.source == source and not self.is_superseded(key, row.version)
        }
        begins = {*rows, *(start_row.start for start_row in self.epochs[source.id][1:])}
        position = self.epochs[source.id][0].start
        gaps = {row.start: row.end for row in self.gaps.values() if row.source == source}
        found = []
        while True:
            row = rows.get(position)
            if position in gaps:
                position = gaps.pop(position)
            elif row and row.position in gaps:  # its cells may be ahead of it
                position = gaps.pop(row.position)
            elif row and row.position > position and row.position in begins:
                found.append(row)
                position = row.position
            else:
                return found

    def _check_complete(self, sink: MemorySink, row: LedgerRow) -> None:
        key = row.source.id, row.slice_block, row.arrived_at
        if key in self._complete:
            return
        if (must := self.slices.get(key)) is None or _said(row) != self._must(key, must):
            raise Violation(f"complete slice {_row(row)} {row.outcomes} should be {must}")
        for cell in self.cells_of[key]:
            if (found := _row_of(sink, cell)) is None or found[1:] != self._values(cell):
                raise Violation(f"complete slice {_row(row)}: {_cell(cell)} is {found}")
        self._complete.add(key)

    def check_end(self, sink: MemorySink) -> None:
        """All of it, exactly: cells, ledger rows, dead letters in the table and on their topic."""
        counts = {key: tuple(values) for key, (_, *values) in all_cells(sink).items()}
        truth = {key: self._values(key) for key in self.cells}
        for key in self.ahead:
            least, most = truth.pop(key, (0,))[0], len(self.cells.get(key, ())) + len(self.ahead[key])
            if not least <= (count := counts.pop(key, (0,))[0]) <= most:
                raise Violation(f"in the end {_cell(key)} of a lost range is {count}, not {least} to {most}")
        _equal("cells", counts, truth)
        rows = {key: (_said(row), row.epoch) for key, row in sink.ledger.items()}
        must = {key: (self._must(key, piece), self.epoch_of[key]) for key, piece in self.slices.items()}
        for key in self.open:
            recounted, row = self.slices.get(key), sink.ledger.get(key)
            if recounted and (row is None or row.position < recounted.position):
                raise Violation(f"in the end the ledger row of a slice that was cut short is {row}, not {recounted}")
            rows.pop(key, None), must.pop(key, None)
        _equal("ledger rows", rows, must)
        letters = {origin: _letter(row) for origin, row in sink.dead_letters.items()}
        ahead = {origin: letter for origin, letter in self.letters_ahead.items() if origin in letters}
        _equal("dead letters", letters, ahead | self.letters if self.has_letters else {})
        self._check_letters("letters on the dead-letter topic", {o: self.letters.get(o) for o in self.buried})

    def _values(self, cell: Key) -> tuple[int, ...]:
        """What the row of a cell must say in the end: events, and trusted unless it is a member of an arm."""
        offsets = self.cells[cell]
        if TABLES[cell[3]] is ArmMemberRows:
            return (len(offsets),)
        return len(offsets), sum((cell[0], offset) in self.trusted for offset in offsets)

    def _must(self, key: SliceKey, piece: ReferenceSlice) -> tuple[object, ...]:
        outcomes = tuple(piece.outcomes[name] for name in OUTCOMES)
        counted, sums = piece.outcomes["counted"], self.sums[key]
        return piece.start, piece.start_stream_time, piece.position, piece.stream_time, outcomes, counted, sums

    def _check_letters(self, what: str, found: Mapping[Origin, Letter | None]) -> None:
        """All that must be there are; others are left over from rules that held before, a record of what was said."""
        missing = sorted(f"{source} offset {offset}" for source, offset in self.letters.keys() - found.keys())
        wrong = sorted(
            f"{origin[0]} offset {origin[1]}: {letter}"
            for origin, letter in found.items()
            if origin not in self.letters_before or (letter and letter not in self.letters_before[origin])
        )
        if missing or wrong:
            raise Violation(f"in the end {what} are missing: {missing}, or wrong: {wrong}")


def _in_force(starts: Iterable[StartRow], source: Source) -> list[StartRow]:
    """By epoch, each with its lowest start; a later one that does not begin beyond an earlier one replaces it."""
    reigning: list[StartRow] = []
    rows = sorted((row for row in starts if row.source == source), key=lambda row: (row.epoch, row.start))
    for row in rows:
        if reigning and reigning[-1].epoch == row.epoch:
            continue
        while reigning and reigning[-1].start >= row.start:
            reigning.pop()
        reigning.append(row)
    return reigning


def _said(row: LedgerRow) -> tuple[object, ...]:
    outcomes = tuple(getattr(row.outcomes, name) for name in OUTCOMES)
    sums = dict(row.sums)
    return row.start, row.start_stream_time, row.position, row.stream_time, outcomes, row.cells_sum, sums


def _letter(row: DeadLetterRow) -> tuple[object, ...]:
    return row.offset, row.timestamp, row.outcome, row.key, row.value, row.headers


def _equal(what: str, found: Mapping[Any, object], must: Mapping[Any, object]) -> None:
    if found != must:
        wrong = [(key, found.get(key), must.get(key)) for key in found.keys() | must.keys()]
        shown = [f"{key}: {is_}, not {should}" for key, is_, should in wrong if is_ != should]
        raise Violation(f"in the end {len(shown)} {what} differ: {sorted(shown)[:3]}")


def _cell(key: Key) -> str:
    names = "block", "arrived", "table", *TABLES[key[3]].key
    return f"cell ({', '.join(f'{name} {value}' for name, value in zip(names, key[1:], strict=True))})"


def key_of(table: str, key: CellKey) -> Key:
    """A cell of one table among those of all."""
    return *key[:3], table, *key[3:]


def all_cells(sink: MemorySink) -> dict[Key, Values]:
    """The rows of all tables of cells."""
    return {key_of(kind.table, key): values for kind, cells in sink.tables.items() for key, values in cells.items()}


def _row_of(sink: MemorySink, key: Key) -> Values | None:
    return sink.tables[TABLES[key[3]]].get((*key[:3], *key[4:]))


def _cells(log: SimLog, found: Recount) -> Iterator[tuple[Key, list[int]]]:
    """The cells of all tables, with the offsets that they count."""
    counted: tuple[tuple[type[CellRows], Mapping[tuple[Any, ...], list[int]]], ...] = (
        (PinMinuteRows, found.counted), (PinMemberRows, found.members), (ExperimentRows, found.arms),
        (ArmMemberRows, found.arm_members),
    )  # fmt: skip
    action = int(log.action)
    for kind, cells in counted:
        for (slice_block, arrived_at, *name), offsets in cells.items():
            named = name if kind is PinMinuteRows else name[0]
            yield (log.source.id, slice_block, arrived_at, kind.table, action, *named), offsets


def _row(row: LedgerRow) -> str:
    return f"{row.source} [{row.start}, {row.position})"
