"""Compares one recounted slice with what ClickHouse says of it, both ways: what is there, and what is not.

A row is checked at its own version: rows are written before the ledger row of their flush, so they may be ahead of it.
The ledger row says what must be there: a cell with a record below its position has a row, and that row is as new as
the cell's last record below that position.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pintally.audit.findings import Finding, Kind
from pintally.audit.flushed import EPOCH_SHIFT, CellRow, DeadLetter, LedgerRow
from pintally.audit.recount import OFFSET_BITS, PIN_BITS, Rejected, Slice, cell_key
from pintally.audit.rules import CountingRules

_END = 1 << OFFSET_BITS


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares the slices of one source that one epoch of the rules made."""

    source: str
    action: int
    action_name: str
    epoch: int
    rules: CountingRules
    oldest: int  # seconds since 1970: rows of older minutes may have been dropped with age

    def ledger(self, slice_: Slice, row: LedgerRow) -> Iterator[Finding]:
        """Each field of the ledger row that is not as the log has it."""
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
        for field, value in expected.items():
            if (found := getattr(row, field)) != value:
                yield replace(self._about(slice_, Kind.LEDGER_DIFFERS), field=field, found=found, expected=value)

    def cells(self, slice_: Slice, rows: Sequence[CellRow], position: int) -> Iterator[Finding]:
        """Compare the slice's cells; all that has a record below `position` must have its row. Rows come sorted."""
        keys, at = slice_.counted, 0
        for row in rows:
            if row.epoch != self.epoch:
                yield self.superseded(row)
                continue
            if row.action != self.action:
                if row.events:
                    yield self._row(slice_, Kind.ROW_EXTRA, row, 0)
                continue
            key = cell_key(row.minute, row.pin)
            reached = bisect_left(keys, key, at) if at < len(keys) and keys[at] < key else at
            yield from self._missing(slice_, keys[at:reached], position)
            at = (
                bisect_left(keys, key + _END, reached)
                if reached < len(keys) and keys[reached] < key + _END
                else reached
            )
            yield from self._row_at_version(slice_, row, keys[reached:at], key, position)
        yield from self._missing(slice_, keys[at:], position)

    def _row_at_version(
        self, slice_: Slice, row: CellRow, records: Sequence[int], key: int, position: int
    ) -> Iterator[Finding]:
        if row.position > slice_.end and not slice_.complete:
            yield replace(self._row(slice_, Kind.VERSION_AHEAD, row, None), found=row.position, expected=slice_.end)
        own = bisect_left(records, key + row.position)
        due = bisect_left(records, key + position)
        if row.events != own:
            differs = Kind.COUNT_TOO_HIGH if row.events > own else Kind.COUNT_TOO_LOW
            yield self._row(slice_, differs if records else Kind.ROW_EXTRA, row, own)
        elif own < due:  # true at its version, but a later flush has been recorded and its row is not here
            yield self._row(slice_, Kind.COUNT_TOO_LOW, row, due)

    def _missing(self, slice_: Slice, keys: Sequence[int], position: int) -> Iterator[Finding]:
        """Cells without a row, of which a record lies below `position`."""
        at = 0
        while at < len(keys):
            cell = keys[at] >> OFFSET_BITS
            after = bisect_left(keys, (cell + 1) << OFFSET_BITS, at)
            due = bisect_left(keys, (cell << OFFSET_BITS) + position, at, after) - at
            minute, pin = cell >> PIN_BITS, cell & ((1 << PIN_BITS) - 1)
            if due and minute >= self.oldest:
                about = self._about(slice_, Kind.ROW_MISSING)
                yield replace(about, action=self.action_name, minute=utc(minute), pin=pin, found=None, expected=due)
            at = after

    def superseded(self, row: CellRow) -> Finding:
        """A row of an epoch that does not rule where the row is."""
        return Finding(
            Kind.SUPERSEDED_ROW,
            self.source,
            row.events,
            f"epoch {self.epoch}",
            f"epoch {row.epoch}",
            f"{row.slice_block}/{row.arrived_at}",
            str(row.action),
            utc(row.minute),
            row.pin,
            row.position,
            row.position,
        )

    def extra(self, row: CellRow) -> Finding:
        """A row of a slice that the log does not have."""
        return Finding(
            Kind.ROW_EXTRA,
            self.source,
            row.events,
            0,
            "slice not in the log",
            f"{row.slice_block}/{row.arrived_at}",
            str(row.action),
            utc(row.minute),
            row.pin,
        )

    def dead_letters(
        self, slice_: Slice, letters: Sequence[DeadLetter], position: int, oldest_ms: int
    ) -> Iterator[Finding]:
        """Every late or invalid record below `position` has its letter (or is older than `oldest_ms`); no other has."""
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

    def _row(self, slice_: Slice, kind: Kind, row: CellRow, expected: int | None) -> Finding:
        action = self.action_name if row.action == self.action else str(row.action)
        about = self._about(slice_, kind)
        return replace(about, found=row.events, expected=expected, action=action, minute=utc(row.minute), pin=row.pin)

    def _letter(self, slice_: Slice, kind: Kind, offset: int, found: str | None, expected: str | None) -> Finding:
        return replace(self._about(slice_, kind), found=found, expected=expected, start=offset, end=offset + 1)


def _letter_difference(letter: DeadLetter, record: Rejected) -> str | None:
    for field in ("outcome", "timestamp", "digest"):
        if getattr(letter, field) != getattr(record, field):
            return "value" if field == "digest" else field
    return None


def utc(seconds: int) -> str:
    """2026-01-31T23:59Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")
