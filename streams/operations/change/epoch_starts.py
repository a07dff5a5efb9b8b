"""New epoch starts: start rows of the next epoch are written, and rows of older epochs from there on are deleted.

`rules apply`, `accept-loss` and `replace-topic` use it. It needs an empty group. After a crash, the change is planned
and applied again; this completes it, because the start rows alone decide which rows are superseded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pintally.schemas.rows import LedgerRow, LostRow, SourceLedger, StartRow
from pintally.schemas.rules import MINUTE_MS
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import Chain
from pintally.streams.operations.change.restamp import Restamp, restamp


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written. A change without start rows only completes an earlier one that was interrupted."""

    starts: tuple[StartRow, ...] = ()
    lost: tuple[LostRow, ...] = ()
    reopen_from: int | None = None  # seconds since 1970: minutes before it do not change and stay final
    forget: tuple[Source, ...] = ()  # sources without a start row, whose rows do not count any more
    restamped: tuple[Restamp, ...] = ()  # rows that stay, re-stamped with an epoch of their own
    lacked: tuple[tuple[int, LedgerRow], ...] = ()  # ledger rows that single shards get, each with its number

    def __bool__(self) -> bool:
        return bool(self.starts or self.lost or self.lacked)


def apply_change(session: MaintenanceSession, change: Change) -> None:
    """Write a change.

    1. Sealed hours that will change are opened: readers take them from minutes, and they are not final any more.
    2. Rows of sources without a start row are deleted.
    3. Accepted losses are written; each takes effect with the start row of its epoch. If counting is to continue behind
       the loss, workers refuse the source until then, because they would write below the rows of step 4. Shards get the
       ledger rows of slices that they lack for good: without a row, counting passes no slice that another shard has.
    4. Rows that stay are re-stamped with the epoch that begins with them.
    5. The start rows are written in one insert. From here on the new rules hold, and older rows are superseded.
    6. Superseded cells, ledger rows and dead letters are deleted. Not earlier: before the start rows are written, a
       late insert of a stale worker could still make the ledger cover them. Sealing deletes what a stale worker inserts
       even later.
    7. Hours are opened again, because one may have been sealed between 1 and 6. A change that only completes an earlier
       one opens the hours that do not add up.

    Raises SinkUnavailable or SinkError. Then plan and apply the change again.
    """
    if change.reopen_from is not None:
        session.reopen_from(change.reopen_from)
    for source in change.forget:
        session.forget(source)
    if change.lost:
        session.write_lost(change.lost)
    for number, part in enumerate(session.parts() if change.lacked else ()):
        part.write_ledger([row for shard, row in change.lacked if shard == number])
    for taken in change.restamped:
        restamp(session, taken)
    if change.starts:
        session.write_starts([*(taken.begin for taken in change.restamped), *change.starts])
    session.delete_superseded()
    if not change.starts:
        session.reopen_unequal()
    elif change.reopen_from is not None:
        session.reopen_from(change.reopen_from)


def together(changes: Iterable[Change]) -> Change:
    """Returns all changes as one."""
    each = list(changes)
    opened = [change.reopen_from for change in each if change.reopen_from is not None]
    return Change(
        starts=tuple(start for change in each for start in change.starts),
        lost=tuple(row for change in each for row in change.lost),
        reopen_from=min(opened, default=None),
        forget=tuple(source for change in each for source in change.forget),
        restamped=tuple(taken for change in each for taken in change.restamped),
        lacked=tuple(row for change in each for row in change.lacked),
    )


def next_epoch(ledgers: Iterable[SourceLedger]) -> int:
    """Returns the highest epoch of any start row + 1; at least 1, because a stopped worker may still begin epoch 0."""
    return max((start.epoch for ledger in ledgers for start in ledger.starts), default=0) + 1


def first_minute(chain: Chain, lateness_ms: int, offsets: Offsets) -> int | None:
    """Returns the first minute (seconds since 1970) that a cell from the base on can have; None if there is no cell.

    The minute of a counted record is not closed: its end + the lateness > stream time. Stream time in the base slice is
    at least the stream time before it, and at least its `arrived_at`.
    """
    if chain.unfinished is None and chain.position >= offsets.log_end:
        return None
    stream_time = max(chain.start_stream_time, chain.unfinished.arrived_at * 1000 if chain.unfinished else 0)
    return max(0, stream_time - lateness_ms - MINUTE_MS) // 1000
