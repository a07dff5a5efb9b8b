"""A sink in memory with the contract of the real one (`pintally.sinks`), for tests and the simulation."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from time import time_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import SLICE_COLUMNS, CellRows, PinMinuteRows, Rows
from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import (
    EPOCH_SHIFT,
    NO_CELLS,
    NO_EPOCH,
    DeadLetterRow,
    LedgerRow,
    LostRow,
    Newest,
    ReplacedRow,
    Replacement,
    SliceSum,
    SourceLedger,
    StartRow,
    position_of,
)
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import CellTotals, MaintenanceSession
from pintally.sinks.stale_rows import superseded_from

CellKey = tuple[
    Any, ...
]  # source, slice_block, arrived_at, and the aggregate's key: action, minute, pin_id, surface, ...
Values = tuple[int, ...]  # version, and the aggregate's values: events, trusted
SLICE = tuple(name for name in SLICE_COLUMNS if name != "version")
SliceKey = tuple[int, int, int]  # source, slice_block, arrived_at
Origin = tuple[Source, int]
Claim = tuple[Source, int, str]  # epoch, rules


class MemorySink:
    """Keeps what was written: of equal keys the highest version, of equal versions the last. Thread safe."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.starts: list[StartRow] = []
        self.claims: set[Claim] = set()
        self.tables: defaultdict[type[CellRows], dict[CellKey, Values]] = defaultdict(dict)
        self.ledger: dict[SliceKey, LedgerRow] = {}
        self.dead_letters: dict[Origin, DeadLetterRow] = {}
        self.lost: list[LostRow] = []
        self.said: list[ReplacedRow] = []  # which topics take the place of others

    @property
    def cells(self) -> dict[CellKey, Values]:
        """The pin-minutes."""
        return self.tables[PinMinuteRows]

    @cells.setter
    def cells(self, cells: dict[CellKey, Values]) -> None:
        self.tables[PinMinuteRows] = cells

    def clock(self) -> int:
        """Its time, in ms since 1970. A simulation gives its own."""
        return time_ns() // 1_000_000

    @contextmanager
    def session(self) -> Iterator[MaintenanceSession]:
        """A session; it is over when the block ends."""
        session = self.open_session()
        try:
            yield session
        finally:
            session.over = True

    def open_session(self) -> "MemorySession":
        """What `session` yields. A simulation that injects faults gives its own session here."""
        return MemorySession(self)

    def known_sources(self) -> Iterable[Source]:
        """Every source that has a start row, by topic and partition."""
        with self.lock:
            sources = {row.source for row in self.starts}
        return sorted(sources, key=lambda source: (source.topic, source.partition))

    def replaced(self) -> Sequence[ReplacedRow]:
        """Which topics took the place of others, by epoch; only what took effect."""
        with self.lock:
            return self._replaced()

    def _replaced(self) -> list[ReplacedRow]:
        begun = {(row.source, row.epoch) for row in self.starts}
        newest = {(row.source, row.old, row.epoch): row for row in self.said}
        return sorted(
            (row for row in newest.values() if row.how is Replacement.SAME_OFFSETS or (row.source, row.epoch) in begun),
            key=lambda row: (row.epoch, row.source.topic, row.source.partition),
        )

    def read_cells(self) -> PinMinuteRows:
        """All pin-minutes, the highest version of each key, in the order of ClickHouse's sort key."""
        with self.lock:
            return _columns(PinMinuteRows, sorted(self.cells.items(), key=lambda item: _table_order(item[0])))


class MemorySession:
    """One session of a MemorySink. Each step is applied whole."""

    def __init__(self, sink: MemorySink) -> None:
        self.sink = sink
        self.over = False

    def parts(self) -> "tuple[MemorySession]":
        return (self,)

    def read_clock(self) -> int:
        with self._step():
            return self.sink.clock()

    def read_ledgers(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]] | None = None
    ) -> Mapping[Source, SourceLedger]:
        def since(ledger: SourceLedger, place: tuple[int, int]) -> SourceLedger:
            rows = [row for row in ledger.rows if (row.slice_block, row.arrived_at) >= place]
            return replace(ledger, rows=tuple(rows))

        with self._step():
            return {source: since(self._ledger_of(source), (first or {}).get(source, (0, 0))) for source in sources}

    def read_back(
        self, sources: Sequence[Source], first: Mapping[Source, tuple[int, int]] | None = None
    ) -> Mapping[Source, Newest]:
        with self._step():
            epochs: dict[Source, int] = {}
            versions: dict[Source, int] = {}
            for start in self.sink.starts:
                epochs[start.source] = max(start.epoch, epochs.get(start.source, 0))
            for row in self.sink.ledger.values():
                if (row.slice_block, row.arrived_at) < (first or {}).get(row.source, (0, 0)):
                    continue
                versions[row.source] = max(row.version, versions.get(row.source, 0))
            return {source: Newest(epochs.get(source), versions.get(source)) for source in sources}

    def write_claims(self, rows: Sequence[StartRow]) -> None:
        with self._step():
            self.sink.claims |= {(row.source, row.epoch, row.rules) for row in rows}

    def write_starts(self, rows: Sequence[StartRow]) -> None:
        """Of equal sort keys the last row stays, as in ClickHouse after a merge."""
        with self._step():
            known = {(row.source, row.epoch, row.start): row for row in [*self.sink.starts, *rows]}
            self.sink.starts[:] = known.values()

    def write_cells(self, *tables: CellRows) -> None:
        for rows in tables:
            keys, values = rows.tuples((*SLICE, *rows.key)), rows.tuples(("version", *rows.values()))
            with self._step():
                cells = self.sink.tables[type(rows)]
                for key, value in zip(keys, values, strict=True):
                    if value[0] >= cells.get(key, (0,))[0]:
                        cells[key] = value

    def write_dead_letters(self, rows: Sequence[DeadLetterRow]) -> None:
        with self._step():
            letters = self.sink.dead_letters
            for row in rows:
                known = letters.get((row.source, row.offset))
                if known is None or row.epoch >= known.epoch:
                    letters[row.source, row.offset] = row

    def write_ledger(self, rows: Sequence[LedgerRow]) -> None:
        with self._step():
            for row in rows:
                key = row.source.id, row.slice_block, row.arrived_at
                known = self.sink.ledger.get(key)
                if known is None or row.version >= known.version:
                    self.sink.ledger[key] = row

    def write_lost(self, rows: Sequence[LostRow]) -> None:
        with self._step():
            self.sink.lost.extend(rows)

    def write_replaced(self, rows: Sequence[ReplacedRow]) -> None:
        with self._step():
            self.sink.said.extend(rows)

    def refuse_absent(self) -> None:
        """There are no replicas."""

    def delete_superseded(self) -> None:
        with self._step():
            starts: dict[Source, list[StartRow]] = {}
            for start in self.sink.starts:
                starts.setdefault(start.source, []).append(start)
            superseded_letters = [
                origin
                for origin, letter in self.sink.dead_letters.items()
                if any(
                    letter.epoch < start.epoch and letter.offset >= start.start
                    for start in starts.get(letter.source, ())
                )
            ]
            for origin in superseded_letters:
                del self.sink.dead_letters[origin]
            for source in {row.source for row in self.sink.starts}:
                for superseded in list(superseded_from(self._ledger_of(source))):
                    ledger = self.sink.ledger
                    for cells in self.sink.tables.values():
                        for key, (version, *_) in list(cells.items()):
                            if key[0] == source.id and superseded.has_cell(key[1], key[2], version):
                                del cells[key]
                    for key in [k for k, row in ledger.items() if row.source == source and superseded.has_row(row)]:
                        del ledger[key]

    def reopen_from(self, _moment: int) -> None:
        self._nothing_is_sealed()

    def reopen_unequal(self) -> list[str]:
        self._nothing_is_sealed()
        return []

    def newest_cut(self) -> int:
        self._nothing_is_sealed()
        return 0

    def reopen_early(self, _lateness_seconds: int) -> None:
        self._nothing_is_sealed()

    def _nothing_is_sealed(self) -> None:
        with self._step():
            pass

    def slice_sums(self, source: Source) -> Mapping[tuple[int, int], SliceSum]:
        found: dict[tuple[int, int], SliceSum] = {}
        with self._step():
            for kind, cells in self.sink.tables.items():
                for (owner, slice_block, arrived_at, *_), (version, value, *_) in cells.items():
                    if owner == source.id:
                        known = found.get((slice_block, arrived_at), NO_CELLS)
                        check_sum = known.sums.get(kind.table, 0) + value
                        found[slice_block, arrived_at] = known.with_table(
                            kind.table, check_sum, version, position_of(version)
                        )
        return found

    def read_slice(self, kind: type[Rows], source: Source, slice_block: int, arrived_at: int) -> Rows:
        name = source.id, slice_block, arrived_at
        with self._step():
            return _columns(kind, [item for item in self.sink.tables[kind].items() if item[0][:3] == name])

    def cell_totals(self, sources: Sequence[Source]) -> CellTotals:
        totals: dict[tuple[int, int], int] = {}
        ids = {source.id for source in sources}
        with self._step():
            for (owner, _, _, _, minute, pin, *_), (_, count, *_) in self.sink.cells.items():
                if owner in ids and count:
                    totals[minute, pin] = totals.get((minute, pin), 0) + count
        keys = sorted(totals)
        columns = ([key[0] for key in keys], [key[1] for key in keys], [totals[key] for key in keys])
        types = (np.uint32, np.uint64, np.uint64)
        return CellTotals(*(np.array(column, dtype) for column, dtype in zip(columns, types, strict=True)))

    def delete_cells(self, source: Source, slice_block: int, arrived_at: int, epoch: int | None = None) -> None:
        with self._step():
            for cells in self.sink.tables.values():
                for key, (version, *_) in list(cells.items()):
                    mine = key[:3] == (source.id, slice_block, arrived_at)
                    if mine and epoch in (None, version >> EPOCH_SHIFT):
                        del cells[key]

    def delete_ledger(self, rows: Sequence[LedgerRow]) -> None:
        with self._step():
            for row in rows:
                key = row.source.id, row.slice_block, row.arrived_at
                if (known := self.sink.ledger.get(key)) and known.version == row.version:
                    del self.sink.ledger[key]

    def letter_offsets(self, source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        with self._step():
            letters = [row for row in self.sink.dead_letters.values() if row.source == source]
        late, invalid = (
            sorted(row.offset for row in letters if row.outcome == outcome) for outcome in ("late", "invalid")
        )
        return np.array(late, np.int64), np.array(invalid, np.int64)

    def read_dead_letters(self, source: Source, start: int, end: int) -> Sequence[DeadLetterRow]:
        with self._step():
            letters = [row for row in self.sink.dead_letters.values() if row.source == source]
        return sorted((row for row in letters if start <= row.offset < end), key=lambda row: row.offset)

    def forget(self, source: Source) -> None:
        with self._step():
            for cells in self.sink.tables.values():
                for cell in [key for key in cells if key[0] == source.id]:
                    del cells[cell]
            for row in [key for key in self.sink.ledger if key[0] == source.id]:
                del self.sink.ledger[row]
            for letter in [key for key in self.sink.dead_letters if key[0] == source]:
                del self.sink.dead_letters[letter]

    def delete_letters(self, source: Source, offsets: Sequence[int]) -> None:
        with self._step():
            for offset in offsets:
                self.sink.dead_letters.pop((source, offset), None)

    def _step(self) -> Lock:
        if self.over:
            raise SinkUnavailable("this session is over", "Open a new session.")
        return self.sink.lock

    def _ledger_of(self, source: Source) -> SourceLedger:
        lowest: dict[int, StartRow] = {}
        for start in (row for row in self.sink.starts if row.source == source):
            known = lowest.get(start.epoch)
            if known is None or start.start < known.start:
                lowest[start.epoch] = start
        rows = [row for row in self.sink.ledger.values() if row.source == source]
        claimed = Counter(epoch for owner, epoch, _ in self.sink.claims if owner == source)
        disputed = [epoch for epoch, rules in claimed.items() if rules > 1]
        return SourceLedger(
            tuple(lowest[epoch] for epoch in sorted(lowest)),
            tuple(sorted(rows, key=lambda row: (row.start, row.epoch, row.position))),
            tuple(sorted({row for row in self.sink.lost if row.source == source}, key=_lost_order)),
            next((row for row in self.sink._replaced() if row.begins(source)), None),
            tuple(row for row in self.sink._replaced() if row.old == source),
            disputed=max(disputed, default=NO_EPOCH),
        )


def _table_order(key: CellKey) -> CellKey:
    source, slice_block, arrived_at, action, minute, pin_id, surface, platform = key
    return minute // 3600, pin_id, minute, action, surface, platform, source, slice_block, arrived_at


def _lost_order(row: LostRow) -> tuple[int, int, int, str]:
    return row.epoch, row.start, row.end, row.kind


def _columns(kind: type[Rows], cells: Sequence[tuple[CellKey, Values]]) -> Rows:
    """Rows of one aggregate."""
    rows = [(*key[:3], version, *key[3:], *values) for key, (version, *values) in cells]
    return kind.of(list(zip(*rows, strict=True)) or [()] * len(kind.columns()))
