"""New epoch starts: start rows of the next epoch are written, and rows of older epochs from there on are deleted.

`rules apply`, `accept-loss` and `replace-topic` use it. It needs an empty group. After a crash, the change is planned
and applied again; this completes it, because the start rows alone decide which rows are superseded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pintally.schemas.rows import LedgerRow, LostRow, SourceLedger, StartRow
from pintally.schemas.rules import MINUTE_MS
from pintally.schemas.sources import Source
from pintally.sinks.claims import claim
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

    @property
    def begun(self) -> tuple[StartRow, ...]:
        """The start rows of all epochs that begin."""
        return (*(taken.begin for taken in self.restamped), *self.starts)

    def __bool__(self) -> bool:
        return bool(self.starts or self.lost or self.lacked)


def prepare(session: MaintenanceSession, change: Change) -> None:
    """What comes before anything of a change is written: every replica is there, and its epochs are claimed (C12).

    Raises SinkUnavailable. May be done again.
    """
    session.refuse_absent()
    claim(session, change.begun)


def apply_change(session: MaintenanceSession, change: Change) -> None:
    """Write a change. With replicas it is refused at once if one is away: step 7 needs all of them.

    1. The epochs that begin are claimed for their rules (C12). What was planned beside another change ends here.
    2. Sealed hours that will change are opened: readers take them from minutes, and they are not final any more.
    3. Rows of sources without a start row are deleted.
    4. Accepted losses are written; each takes effect with the start row of its epoch. If counting is to continue behind
       the loss, workers refuse the source until then, because they would write below the rows of step 5. Shards get the
       ledger rows of slices that they lack for good: without a row, counting passes no slice that another shard has.
    5. Rows that stay are re-stamped with the epoch that begins with them.
    6. The start rows are written in one insert. From here on the new rules hold, and older rows are superseded.
    7. Superseded cells, ledger rows and dead letters are deleted. Not earlier: before the start rows are written, a
       late insert of a stale worker could still make the ledger cover them. Sealing deletes what a stale worker inserts
       even later.
    8. Hours are opened again, because one may have been sealed between 2 and 7. A change that only completes an earlier
       one opens the hours that do not add up.

    Raises SinkUnavailable or SinkError. Then plan and apply the change again.
    """
    prepare(session, change)
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
        session.write_starts(change.begun)
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
    """Returns an epoch above that of any start row, and above any that is claimed for different rules.

    At least 1, because a stopped worker may still begin epoch 0.
    """
    epochs = [epoch for each in ledgers for epoch in (each.disputed, *(start.epoch for start in each.starts))]
    return max([0, *epochs]) + 1


def first_minute(chain: Chain, lateness_ms: int, offsets: Offsets) -> int | None:
    """Returns the first minute (seconds since 1970) that a cell from the base on can have; None if there is no cell.

    The minute of a counted record is not closed: its end + the lateness > stream time. Stream time in the base slice is
    at least the stream time before it, and at least its `arrived_at`.
    """
    if chain.unfinished is None and chain.position >= offsets.log_end:
        return None
    stream_time = max(chain.start_stream_time, chain.unfinished.arrived_at * 1000 if chain.unfinished else 0)
    return max(0, stream_time - lateness_ms - MINUTE_MS) // 1000
