"""Controls of the flush: C6, C7 and C11."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from time import time_ns
from typing import Any

import numpy as np

from pintally.schemas.actions import Action
from pintally.schemas.cells import PinMinuteRows, rows_of
from pintally.schemas.decoding.decoded import Decoded
from pintally.schemas.rows import DeadLetterRow, LedgerRow
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink, SinkSession
from pintally.streams.counting.aggregates import PinMinutes, SliceVersion, aggregate
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.outcomes import Judged
from pintally.streams.counting.pending import Capture, Pending
from pintally.streams.worker import flush as flush
from pintally.streams.worker.dead_letter_topics import DeadLetterTopics
from pintally.streams.worker.flush import Flusher
from pintally.streams.worker.table import Refold
from tests.controls.switch import control, replaced


@control
def dirty_cleared_before_the_answer() -> Iterator[None]:
    """C7: cells count as flushed once they are taken out."""
    with replaced((PinMinutes, "merge_back", PinMinutes.mark_flushed)):
        yield


@control
def sums_instead_of_absolutes() -> Iterator[None]:
    """C6: a row says what was counted since the cell's last one."""
    take_dirty = PinMinutes.take_dirty

    def take_new(self: PinMinutes, at: SliceVersion) -> PinMinuteRows:
        taken = take_dirty(self, at)
        self._cells.counts[self._cells.marks != 0] = 0
        return taken

    with replaced((PinMinutes, "take_dirty", take_new)):
        yield


def _write(*, late_rows: bool = False, ledger_first: bool = False, all_read_back: bool = True) -> Callable[..., None]:
    """`flush.write` with one thing done differently."""

    def write(sink: Sink, folds: Sequence[SourceFold], captures: Sequence[Capture], _timed: Any = None) -> None:
        def ledger() -> None:
            if late_rows:
                of = {fold.source: fold for fold in folds}
                rows = [s.ledger_row(c.source, of[c.source].epoch, of[c.source].rules) for c, s in slices]
            else:
                rows = [row for c in captures for row in c.ledger]
            session.write_ledger(rows)

        slices = [(capture, each) for capture in captures for each in capture.slices]
        flushing = {capture.source for capture in captures}
        with sink.session() as session:
            flush.read_back(session, [fold for fold in folds if all_read_back or fold.source in flushing])
            if ledger_first:
                ledger()
            session.write_cells(*(rows[0].concat(rows) for rows in zip(*(c.cells for c in captures), strict=True)))
            session.write_dead_letters([letter for c in captures for letter in c.dead_letters])
            if not ledger_first:
                ledger()

    return write


@control
def ledger_before_rows() -> Iterator[None]:
    """C6: the ledger is written first."""
    with replaced((flush, "write", _write(ledger_first=True))):
        yield


@control
def ledger_captured_later_than_cells() -> Iterator[None]:
    """C6: ledger rows say what is folded when they are written."""
    with replaced((flush, "write", _write(late_rows=True))):
        yield


@control
def version_from_the_wall_clock() -> Iterator[None]:
    """C6: whoever speaks last wins."""
    last = 0
    versions: dict[LedgerRow, int] = {}

    def now() -> int:
        nonlocal last
        last = max(last + 1, time_ns())
        return last

    def version(row: LedgerRow) -> int:
        if row not in versions:
            versions[row] = now()
        return versions[row]

    with replaced(
        (aggregate, "version_of", lambda *_: now()),
        (LedgerRow, "version", property(version)),
        (flush, "read_back", lambda *_: None),
    ):
        yield


class _Open:
    """A lock that keeps nobody out."""

    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


@control
def two_flushes_in_flight() -> Iterator[None]:
    """C7: the next flush does not wait for the answer to the last one."""
    init, capture, flush = Flusher.__init__, Pending.capture, Flusher.flush

    def without_lock(self: Flusher, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self._in_flight = _Open()  # type: ignore[assignment]  # stands for a lock

    def capture_again(self: Pending, ended_only: bool) -> Capture | None:
        self._in_flight = None
        return capture(self, ended_only)

    def answered(self: Pending, _: Capture) -> None:
        self._in_flight = None

    async def begin(self: Flusher) -> bool:
        flushing = asyncio.ensure_future(flush(self))
        done, _ = await asyncio.wait({flushing}, timeout=1.0)
        return flushing.result() if done else False

    with replaced(
        (Flusher, "__init__", without_lock),
        (Flusher, "flush", begin),
        (Pending, "capture", capture_again),
        (Pending, "_answered", answered),
    ):
        yield


@control
def failed_ledger_rows_not_merged_back() -> Iterator[None]:
    """C7: of a failed flush only the cells are flushed again."""
    merge_back = Pending.merge_back

    def forget(self: Pending, failed: Capture) -> None:
        merge_back(self, failed)
        for each, row in zip(failed.slices, failed.ledger, strict=True):
            each.flushed = row.position

    with replaced((Pending, "merge_back", forget)):
        yield


@control
def not_merged_back_after_a_rebalance() -> Iterator[None]:
    """C7: a flush that fails after the group gave out its partitions anew is forgotten."""
    assign, merge_back = Refold._assign, Pending.merge_back
    overtaken: list[Capture] = []

    async def assign_anew(self: Refold) -> None:
        overtaken.extend(c for fold in self.tables.folds() if (c := fold._pending._in_flight))
        await assign(self)

    def forget(self: Pending, failed: Capture) -> None:
        merge_back(self, failed)
        if any(capture is failed for capture in overtaken):
            for each in failed.slices:
                each.take_dirty(failed.source, Action.SAVE, 0)
                for counted in each.aggregates:
                    counted.mark_flushed()

    with replaced((Refold, "_assign", assign_anew), (Pending, "merge_back", forget)):
        yield


@control
def merged_back_into_another() -> Iterator[None]:
    """C7: a failed flush is merged into whatever state its source has by now."""
    init, merge_back = SourceFold.__init__, SourceFold.merge_back
    newest: dict[Any, SourceFold] = {}

    def remember(self: SourceFold, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        newest[asyncio.get_running_loop(), self.source] = self

    def merge(self: SourceFold, failed: Capture) -> None:
        merge_back(self, failed)
        other = newest[asyncio.get_running_loop(), self.source]
        if other is not self and (state := other._pending._open):
            rows = rows_of(PinMinuteRows, failed.cells)
            rows = rows.select(rows.slice_block == state.slice_id.slice_block)
            n = rows.events.astype(np.int64)
            minutes, pins = np.repeat(rows.minute // 60, n).astype(np.int64), np.repeat(rows.pin_id, n)
            never = np.zeros(len(pins), np.bool_)
            decoded = replace(Decoded.blank(len(pins)), pin_id=pins)
            state.add(Judged(decoded, minutes, minutes, minutes, never, never, ~never), np.arange(len(pins)))

    with replaced((SourceFold, "__init__", remember), (SourceFold, "merge_back", merge)):
        yield


@control
def no_read_back() -> Iterator[None]:
    """C6: nobody looks whether ClickHouse went back."""
    with replaced((flush, "read_back", lambda *_: None)):
        yield


@control
def sources_without_news_not_read_back() -> Iterator[None]:
    """C6: a flush looks at the ledger of those sources alone that it flushes."""
    with replaced((flush, "write", _write(all_read_back=False))):
        yield


@control
def no_look_while_nothing_is_flushed() -> Iterator[None]:
    """C6: a worker without anything to flush does not look at the ledger."""

    async def look(*_: Any) -> None: ...

    with replaced((Flusher, "_look", look)):
        yield


@contextmanager
def epoch_not_read_back() -> Iterator[None]:
    """Whether other rules hold is asked on assignment alone. Part of a control: assignment asks too."""
    read_back = flush.read_back

    def compare(session: SinkSession, folds: Sequence[SourceFold]) -> None:
        with suppress(flush.RulesChanged):
            read_back(session, folds)

    with replaced((flush, "read_back", compare)):
        yield


@control
def dead_letters_not_awaited() -> Iterator[None]:
    """C11: dead letters are sent, and nobody waits for the answer."""

    async def send_batch(
        self: DeadLetterTopics, batch: Any, source: Source, _letters: Sequence[DeadLetterRow]
    ) -> list[DeadLetterRow]:
        answer = await self._enqueue(batch, source)
        answer.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # heard, and not waited for
        return []

    with replaced((DeadLetterTopics, "_send_batch", send_batch)):
        yield
