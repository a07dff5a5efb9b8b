"""Controls of what a worker begins with: C1, C13, C14, C16 and C19."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace

from pintally.schemas.rows import EPOCH_SHIFT, LedgerRow, SourceLedger
from pintally.sinks.stale_rows import Superseded
from pintally.streams.counting import recovery
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.recovery import Chain
from pintally.streams.counting.slices import Base
from pintally.streams.worker import assignment
from pintally.streams.worker.assignment import Assigned
from pintally.streams.worker.table import CellTable
from tests.controls.flushing import epoch_not_read_back
from tests.controls.switch import control, replaced


def _begin(choose: Callable[[Chain, Base], Base]) -> AbstractContextManager[None]:
    return replaced((assignment, "base_of", lambda chain: choose(chain, recovery.base_of(chain))))


@control
def base_is_the_ledgers_position() -> Iterator[None]:
    """C13: counting begins where the ledger ends, without the cells of the slice there."""
    with _begin(
        lambda chain, base: Base(base.collect_start, base.collect_stream_time, chain.position, chain.stream_time)
    ):
        yield


@control
def base_behind_the_last_row() -> Iterator[None]:
    """C13: counting begins with the last slice that has a row, whatever lies before it."""
    follow = recovery.follow

    def trusting(ledger: SourceLedger) -> Chain:
        return replace(follow(ledger), complete=ledger.rows[:-1], unfinished=ledger.rows[-1] if ledger.rows else None)

    with replaced((assignment, "follow", trusting)):
        yield


@control
def ids_not_collected() -> Iterator[None]:
    """C14: nobody looks before the base for the ids that can still matter."""
    with _begin(lambda _, base: Base(base.start, base.start_stream_time, base.start, base.start_stream_time)):
        yield


@control
def ids_of_the_previous_slice_only() -> Iterator[None]:
    """C14: ids are collected from one slice before the base, and no earlier."""

    def previous(chain: Chain, base: Base) -> Base:
        if base.collect_start == base.start:
            return base
        return replace(
            base, collect_start=chain.complete[-1].start, collect_stream_time=chain.complete[-1].start_stream_time
        )

    with _begin(previous):
        yield


@control
def stream_time_not_carried_over_a_restart() -> Iterator[None]:
    """C1: the clock begins anew with the first record that is read."""
    with (
        _begin(lambda _, base: Base(base.collect_start, 0, base.start, 0)),
        replaced((SourceFold, "_check_base", lambda _: None)),
    ):
        yield


@control
def superseded_rows_read() -> Iterator[None]:
    """C19: what a worker of the rules before has said since they changed is believed."""
    with replaced((recovery, "is_superseded", lambda *_: False)):
        yield


@control
def only_the_first_slice_is_superseded() -> Iterator[None]:
    """C18: a change of rules deletes the slice at the epoch start, and none of those behind it."""

    def is_superseded(row: LedgerRow, ledger: SourceLedger) -> bool:
        return any(start.epoch > row.epoch and row.start == start.start for start in ledger.starts)

    def has_row(self: Superseded, row: LedgerRow) -> bool:
        return row.epoch == self.epoch and row.start == self.start

    def has_cell(self: Superseded, slice_block: int, arrived_at: int, version: int) -> bool:
        return version >> EPOCH_SHIFT == self.epoch and (slice_block, arrived_at) == (self.slice_block, self.arrived_at)

    with replaced(
        (recovery, "is_superseded", is_superseded), (Superseded, "has_row", has_row), (Superseded, "has_cell", has_cell)
    ):
        yield


@control
def kept_state_never_checked() -> Iterator[None]:
    """C16: a source that comes back keeps its state, whatever the ledger says; flushes do not ask for rules."""
    assign = CellTable.assign

    def keep(self: CellTable, assigned: Assigned) -> None:
        kept = self.folds.get(assigned.source.partition)
        if kept is None or kept.source != assigned.source:
            assign(self, assigned)

    with replaced((CellTable, "assign", keep)), epoch_not_read_back():
        yield
