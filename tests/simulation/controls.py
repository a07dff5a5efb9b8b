"""Protections switched off, one at a time: each must turn schedules red. Named after the controls of the protocol."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import count
from typing import Any
from unittest.mock import patch

import numpy as np

from schemas import rows
from schemas.rows import CellRows, DeadLetterRow
from sinks.base import Sink, SinkSession
from streams import assignment, capture, cells, dead_letters, emit, fold, recovery, tally
from streams.flow import Flow
from streams.fold import Capture, SourceFold
from streams.recovery import Chain
from streams.slices import Base
from tests.simulation.sink import SimSink

Control = Callable[[], AbstractContextManager[Any]]
CONTROLS: dict[str, Control] = {}


def _control(function: Callable[[], Iterator[None]]) -> Control:
    CONTROLS[function.__name__.replace("_", "-")] = made = contextmanager(function)
    return made


@contextmanager
def _patched(*patches: tuple[object, str, object]) -> Iterator[None]:
    with ExitStack() as stack:
        for where, name, what in patches:
            stack.enter_context(patch.object(where, name, what))
        yield


# The fold


@_control
def no_chain_check() -> Iterator[None]:
    """Rule 4: a chunk is folded wherever it starts."""
    with _patched((SourceFold, "_check_place", lambda *_: None), (SourceFold, "_check_base", lambda *_: None)):
        yield


@_control
def only_counted_ids_register() -> Iterator[None]:
    """Rule 2: what is late or a duplicate itself leaves no id behind."""

    class CountedIds:
        nbytes = 0

        def __init__(self) -> None:
            self.seen: dict[tuple[int, ...], tuple[int, int]] = {}

        def register(self, ids: Any, block: int, bucket: int) -> Any:
            return np.array([self._one(tuple(id_), block, bucket) for id_ in ids.tolist()], np.bool_)

        def _one(self, id_: tuple[int, ...], block: int, bucket: int) -> bool:
            seen_block, seen_bucket = self.seen.get(id_, (-9, -9))
            if block - seen_block < 2 and bucket - seen_bucket < 2:
                return True
            self.seen[id_] = block, bucket
            return False

    register = SourceFold._register

    def without_late(self: SourceFold, judged: Any, piece: Any) -> Any:
        return register(self, replace(judged, dead=judged.dead | judged.late), piece)

    with _patched((fold, "SeenIds", CountedIds), (SourceFold, "_register", without_late)):
        yield


@_control
def no_seek_for_a_missing_tail() -> Iterator[None]:
    """Rule 4: only the next chunk tells of one that was dropped."""

    async def seek_stuck(_: Flow) -> None: ...

    with _patched((Flow, "seek_stuck", seek_stuck)):
        yield


# Emission


@_control
def dirty_cleared_before_the_answer() -> Iterator[None]:
    """Rule 7: cells count as emitted once they are taken out."""
    with _patched((cells.Cells, "merge_back", cells.Cells.land)):
        yield


def _write(*, late_rows: bool = False, ledger_first: bool = False, read_back_all: bool = True) -> Callable[..., None]:
    def write(sink: Sink, folds: Sequence[SourceFold], captures: Sequence[Capture]) -> None:
        def ledger() -> None:
            if late_rows:
                by_source = {fold.source: fold for fold in folds}
                of = [(by_source[c.source], tally) for c in captures for tally in c.tallies]
                session.write_ledger([tally.ledger_row(f.source, f.generation, f.rules) for f, tally in of])
            else:
                session.write_ledger([row for c in captures for row in c.ledger])

        with sink.session() as session:
            emitting = {c.source for c in captures}
            emit.read_back(session, [fold for fold in folds if read_back_all or fold.source in emitting])
            if ledger_first:
                ledger()
            session.write_cells(CellRows.concat([c.cells for c in captures]))
            session.write_dead_letters([letter for c in captures for letter in c.dead_letters])
            if not ledger_first:
                ledger()

    return write


@_control
def ledger_before_rows() -> Iterator[None]:
    """Rule 6: the ledger is written first."""
    with _patched((emit, "write", _write(ledger_first=True))):
        yield


@_control
def ledger_captured_later_than_cells() -> Iterator[None]:
    """Rule 6: ledger rows say what is folded when they are written."""
    with _patched((emit, "write", _write(late_rows=True))):
        yield


@_control
def version_from_the_wall_clock() -> Iterator[None]:
    """Rule 6: whoever speaks last wins."""
    clock = count(1)

    def version(row: Any) -> int:
        if row not in versions:
            versions[row] = next(clock)
        return versions[row]

    versions: dict[Any, int] = {}
    with _patched(
        (tally, "version_of", lambda *_: next(clock)),
        (rows.LedgerRow, "version", property(version)),
        (emit, "read_back", lambda *_: None),
    ):
        yield


class _NoLock:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


@_control
def two_ticks_in_flight() -> Iterator[None]:
    """Rule 7: the next tick does not wait for the answer to the last one."""
    taken = capture.Unemitted.capture

    def capture_again(self: capture.Unemitted, ended_only: bool) -> Capture | None:
        self._in_flight = None
        return taken(self, ended_only)

    def land(self: capture.Unemitted, _: Capture) -> None:
        self._in_flight = None

    with (
        _patched((capture.Unemitted, "capture", capture_again), (capture.Unemitted, "_land", land)),
        patch.object(asyncio, "Lock", _NoLock),
    ):
        yield


@_control
def failed_ledger_rows_not_merged_back() -> Iterator[None]:
    """Rule 7: of a failed tick only the cells are emitted again."""
    merge_back = capture.Unemitted.merge_back

    def forget(self: capture.Unemitted, failed: Capture) -> None:
        merge_back(self, failed)
        for each, row in zip(failed.tallies, failed.ledger, strict=True):
            each.recorded = row.position

    with _patched((capture.Unemitted, "merge_back", forget)):
        yield


@_control
def no_read_back() -> Iterator[None]:
    """Rule 6: nobody looks whether ClickHouse went back."""
    with _patched((emit, "read_back", lambda *_: None)):
        yield


@_control
def sources_without_news_not_read_back() -> Iterator[None]:
    """Rule 6: a tick looks at the ledger of those sources alone that it emits."""
    with _patched((emit, "write", _write(read_back_all=False))):
        yield


@_control
def no_look_while_nothing_is_emitted() -> Iterator[None]:
    """Rule 6: a worker without anything to emit does not look at the ledger."""

    async def look(*_: Any) -> None: ...

    with _patched((emit.Emitter, "_look", look)):
        yield


@_control
def generation_not_read_back() -> Iterator[None]:
    """Rule 16: whether other rules hold is asked on assignment alone."""
    read_back = emit.read_back

    def compare(session: SinkSession, folds: Sequence[SourceFold]) -> None:
        with suppress(emit.RulesChanged):
            read_back(session, folds)

    with _patched((emit, "read_back", compare)):
        yield


@_control
def connection_comes_back_by_itself() -> Iterator[None]:
    """Rule 6: the driver reconnects in the middle of a tick."""
    with _patched((SimSink, "reconnects", True)):
        yield


@_control
def dead_letters_not_awaited() -> Iterator[None]:
    """Rule 11: dead letters are sent, and nobody waits for the answer."""

    async def send_all(self: dead_letters.DeadLetterTopics, letters: Sequence[DeadLetterRow]) -> list[DeadLetterRow]:
        for letter in letters:
            await self._enqueue(letter)
        return []

    with _patched((dead_letters.DeadLetterTopics, "_send_all", send_all)):
        yield


# Recovery


@_control
def base_is_the_ledgers_position() -> Iterator[None]:
    """Rule 13: begin where the ledger ends."""

    def base(chain: Chain) -> Base:
        found = recovery.base_of(chain)
        return Base(found.collect_start, found.collect_clock, chain.position, chain.clock)

    with _patched((assignment, "base_of", base)):
        yield


@_control
def base_behind_the_last_row() -> Iterator[None]:
    """Rule 13: begin with the last slice that has a row, whatever lies before it."""
    follow = recovery.follow

    def trusting(ledger: Any) -> Chain:
        return replace(follow(ledger), complete=ledger.rows[:-1], unfinished=ledger.rows[-1] if ledger.rows else None)

    with _patched((assignment, "follow", trusting)):
        yield


def _collect(choose: Callable[[Chain, Base], Base]) -> AbstractContextManager[None]:
    return _patched((assignment, "base_of", lambda chain: choose(chain, recovery.base_of(chain))))


@_control
def ids_not_collected() -> Iterator[None]:
    """Rule 14: nobody looks before the base."""
    with _collect(lambda _, base: Base(base.start, base.start_clock, base.start, base.start_clock)):
        yield


@_control
def ids_of_the_previous_slice_only() -> Iterator[None]:
    """Rule 14: one slice before the base is enough."""

    def previous(chain: Chain, base: Base) -> Base:
        if base.collect_start == base.start:
            return base
        return replace(base, collect_start=chain.complete[-1].start, collect_clock=chain.complete[-1].start_clock)

    with _collect(previous):
        yield


@_control
def clock_not_carried_over_a_restart() -> Iterator[None]:
    """Rule 1: the clock begins anew with the first record that is read."""
    with (
        _collect(lambda _, base: Base(base.collect_start, 0, base.start, 0)),
        patch.object(SourceFold, "_check_base", lambda *_: None),
    ):
        yield


@_control
def void_rows_read() -> Iterator[None]:
    """Rule 19: a worker of the rules before is believed."""
    with _patched((recovery, "is_void", lambda *_: False)):
        yield
