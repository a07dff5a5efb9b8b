"""Compares one recounted slice with its rows in ClickHouse, in both directions: wrong rows and missing rows.

A row is checked at its own version. Rows are written before the ledger row of their flush, so they may be ahead of it.
The ledger row says which rows must exist: a cell with a record below its position must have a row, and that row must be
as new as the last record of the cell below that position.

Where all rows of a slice are right, that is seen in columns, many rows at once. Else its rows are compared one by one,
to say what is wrong.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.audit.aggregates import AGGREGATES, Aggregate, CellRow, cell_rows, key_columns
from pintally.audit.findings import Finding, Kind
from pintally.audit.flushed import EPOCH_SHIFT, POSITION_MASK, DeadLetter, LedgerRow
from pintally.audit.names import Names
from pintally.audit.rules import CountingRules
from pintally.audit.slices import OFFSET_BITS, Rejected, Slice

_END = 1 << OFFSET_BITS


@dataclass(frozen=True, slots=True)
class Table:
    """The table of one aggregate."""

    aggregate: Aggregate
    number: int  # of the aggregate: its place in AGGREGATES and in Slice.counted
    oldest: int  # seconds since 1970: rows of older windows may have been dropped with age


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares the slices of one source and one epoch."""

    source: str
    epoch: int
    rules: CountingRules
    names: Names = field(default_factory=Names)  # of labels, for findings

    def ledger(self, slice_: Slice, row: LedgerRow) -> Iterator[Finding]:
        """Yields each field of the ledger row that differs from the log."""
        at = min(max(row.position, slice_.start), slice_.end)
        state = slice_.at(at)
        expected = {
            "start": slice_.start,
            "start_stream_time": slice_.start_stream_time,
            "position": at,
            **state._asdict(),
            "cells_sum": state.counted,
            "epoch": self.epoch,
            "rules": self.rules.fingerprint,
            "version": (self.epoch << EPOCH_SHIFT) + at,
        }
        found = {field: getattr(row, field) for field in expected}
        for aggregate, cells in zip(AGGREGATES, slice_.cells, strict=True):  # a record adds one to each of its cells
            if aggregate.table in row.sums:
                found[aggregate.table] = row.sums[aggregate.table]
                expected[aggregate.table] = int(np.count_nonzero(cells.offsets < at))
        for name, value in expected.items():
            if found[name] != value:
                yield replace(self._about(slice_, Kind.LEDGER_DIFFERS), field=name, found=found[name], expected=value)

    def cells(self, table: Table, slice_: Slice, rows: NDArray[Any], position: int) -> Iterator[Finding]:
        """Compare the slice's cells; all that has a record below `position` must have its row. Rows come sorted."""
        if not self._are_right(table, slice_, rows):
            self.names.learn(slice_.cells[table.number].names)
            yield from self._cells_one_by_one(table, slice_, cell_rows(table.aggregate, rows), position)

    def _are_right(self, table: Table, slice_: Slice, rows: NDArray[Any]) -> bool:
        """Whether each cell has its row, and each row counts all records of its cell."""
        cells = slice_.cells[table.number]
        if len(rows) != len(cells):
            return False
        versions, last = rows["version"], cells.offsets[cells.starts[1:] - 1]
        positions = (versions & np.uint64(POSITION_MASK)).astype(np.int64)
        names = key_columns(table.aggregate)
        return bool(
            all(np.array_equal(rows[name], keys) for name, keys in zip(names, cells.keys, strict=True))
            and np.array_equal(rows["value"], cells.counts)
            and np.array_equal(rows["trusted"], cells.trusted_counts)
            and (versions >> np.uint64(EPOCH_SHIFT) == self.epoch).all()
            and (positions > last).all()
            and (slice_.complete or (positions <= slice_.end).all())
        )

    def _cells_one_by_one(
        self, table: Table, slice_: Slice, rows: Sequence[CellRow], position: int
    ) -> Iterator[Finding]:
        records, trusted, at = slice_.counted(table.number), slice_.trusted(table.number), 0
        for row in rows:
            if row.epoch != self.epoch:
                yield self.superseded(table, row)
                continue
            key = row.key << OFFSET_BITS
            reached = bisect_left(records, key, at) if at < len(records) and records[at] < key else at
            yield from self._missing(table, slice_, records[at:reached], position)
            at = (
                bisect_left(records, key + _END, reached)
                if reached < len(records) and records[reached] < key + _END
                else reached
            )
            yield from self._row_at_version(table, slice_, row, records[reached:at], position)
            if reached < at or not row.value:  # else the row is of no cell, which is said already
                yield from self._trusted_at_version(table, slice_, row, trusted)
        yield from self._missing(table, slice_, records[at:], position)

    def _row_at_version(
        self, table: Table, slice_: Slice, row: CellRow, records: Sequence[int], position: int
    ) -> Iterator[Finding]:
        about = replace(self._describe(table, self._about(slice_, Kind.ROW_EXTRA), row.key), found=row.value)
        if row.position > slice_.end and not slice_.complete:
            yield replace(about, kind=Kind.VERSION_AHEAD, found=row.position, expected=slice_.end)
        key = row.key << OFFSET_BITS
        own = bisect_left(records, key + row.position)
        due = bisect_left(records, key + position)
        if row.value != own:
            differs = Kind.COUNT_TOO_HIGH if row.value > own else Kind.COUNT_TOO_LOW
            yield replace(about, kind=differs if records else Kind.ROW_EXTRA, expected=own)
        elif own < due:  # right at its version, but the ledger covers a later flush whose row is missing
            yield replace(about, kind=Kind.COUNT_TOO_LOW, expected=due)

    def _trusted_at_version(
        self, table: Table, slice_: Slice, row: CellRow, trusted: Sequence[int]
    ) -> Iterator[Finding]:
        key = row.key << OFFSET_BITS
        own = bisect_left(trusted, key + row.position) - bisect_left(trusted, key)
        if row.trusted != own:
            about = self._about(slice_, Kind.COUNT_TOO_HIGH if row.trusted > own else Kind.COUNT_TOO_LOW)
            about = replace(about, found=row.trusted, expected=own, field=table.aggregate.trusted)
            yield self._describe(table, about, row.key)

    def _describe(self, table: Table, about: Finding, key: int) -> Finding:
        return table.aggregate.describe(about, key, self.names)

    def _missing(self, table: Table, slice_: Slice, records: Sequence[int], position: int) -> Iterator[Finding]:
        """Yields cells without a row that have a record below `position`."""
        at = 0
        while at < len(records):
            key = records[at] >> OFFSET_BITS
            after = bisect_left(records, (key + 1) << OFFSET_BITS, at)
            due = bisect_left(records, (key << OFFSET_BITS) + position, at, after) - at
            if due and table.aggregate.start_of(key) >= table.oldest:
                about = self._about(slice_, Kind.ROW_MISSING)
                yield replace(self._describe(table, about, key), expected=due)
            at = after

    def superseded(self, table: Table, row: CellRow) -> Finding:
        """Returns the finding for a row whose epoch does not hold for its slice."""
        about = Finding(
            Kind.SUPERSEDED_ROW, self.source, row.value, f"epoch {self.epoch}", f"epoch {row.epoch}",
            f"{row.slice_block}/{row.arrived_at}", start=row.position, end=row.position,
        )  # fmt: skip
        return self._describe(table, about, row.key)

    def extra(self, table: Table, row: CellRow) -> Finding:
        """Returns the finding for a row of a slice that the log does not have."""
        name = f"{row.slice_block}/{row.arrived_at}"
        about = Finding(Kind.ROW_EXTRA, self.source, row.value, 0, "slice not in the log", name)
        return self._describe(table, about, row.key)

    def dead_letters(
        self, slice_: Slice, letters: Sequence[DeadLetter], position: int, oldest_ms: int
    ) -> Iterator[Finding]:
        """Compare dead letters: each late or invalid record below `position`, and no other, must have one.

        Records older than `oldest_ms` may have none.
        """
        by_offset = {letter.offset: letter for letter in letters if letter.epoch == self.epoch}
        for record in slice_.rejected:
            letter = by_offset.pop(record.offset, None)
            if letter is None:
                if record.offset < position and record.stream_time >= oldest_ms:
                    yield self._letter(slice_, Kind.DEAD_LETTER_MISSING, record.offset, None, record.outcome)
            elif field := _letter_difference(letter, record):
                about = self._letter(slice_, Kind.DEAD_LETTER_DIFFERS, record.offset, letter.outcome, record.outcome)
                yield replace(about, field=field)
        superseded = [letter for letter in letters if letter.epoch < self.epoch]
        for letter in superseded:
            yield replace(
                self._letter(slice_, Kind.SUPERSEDED_ROW, letter.offset, letter.outcome, None), field="dead_letters"
            )
        others = [letter for letter in letters if letter.epoch > self.epoch]
        for letter in [*by_offset.values(), *others]:
            yield self._letter(slice_, Kind.DEAD_LETTER_EXTRA, letter.offset, letter.outcome, None)

    def _about(self, slice_: Slice, kind: Kind) -> Finding:
        name = f"{slice_.slice_block}/{slice_.arrived_at}"
        return Finding(kind, self.source, slice=name, start=slice_.start, end=slice_.end)

    def _letter(self, slice_: Slice, kind: Kind, offset: int, found: str | None, expected: str | None) -> Finding:
        return replace(self._about(slice_, kind), found=found, expected=expected, start=offset, end=offset + 1)


def _letter_difference(letter: DeadLetter, record: Rejected) -> str | None:
    for name in ("outcome", "timestamp", "digest"):
        if getattr(letter, name) != getattr(record, name):
            return "value" if name == "digest" else name
    return None
