"""New epoch starts: start rows of the next epoch, and all of the old ones from there on is deleted.

Both `rules apply` and `accept-loss` are this. It needs an empty group. Where it crashed it is planned and carried out
again; what was half done is then finished, because what is superseded follows from the start rows alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pintally.schemas.rows import LostRow, SourceLedger, StartRow
from pintally.schemas.rules import MINUTE_MS
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.counting.log import Offsets
from pintally.streams.counting.recovery import Chain
from pintally.streams.operations.change.restamp import Restamp, restamp


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written. One without start rows only finishes what an earlier one may have left."""

    starts: tuple[StartRow, ...] = ()
    lost: tuple[LostRow, ...] = ()
    reopen_from: int | None = None  # seconds since 1970: no minute before it changes, or ceases to be final
    forget: tuple[Source, ...] = ()  # sources without a start row, of which nothing that is there counts any more
    restamped: tuple[Restamp, ...] = ()  # rows that stay, under epochs of their own

    def __bool__(self) -> bool:
        return bool(self.starts or self.lost)


def apply_change(session: MaintenanceSession, change: Change) -> None:
    """Set the epoch starts.

    1. Sealed hours that will change are read from minutes, and are not final any more.
    2. What is there of sources without a start row is deleted.
    3. What was given up is recorded; it takes effect with the start row of its epoch. Where counting is to go on
       behind it, workers refuse the source until then: they would write below what step 4 has written.
    4. Rows that stay are said again by the epoch that begins with them.
    5. The start rows, in one insert. From here on the new rules hold, and what is older is superseded.
    6. Superseded cells, ledger rows and dead letters are deleted. Not earlier: until the start rows are there, an
       expired worker's late insert may yet vouch for them. What a sleeping worker inserts even later is deleted by
       sealing.
    7. Hours are opened once more: somebody may have sealed one between 1 and 6. A change that only finishes an earlier
       one opens those that do not add up.

    Raises SinkUnavailable or SinkError; do it again then, from the plan on.
    """
    if change.reopen_from is not None:
        session.reopen_from(change.reopen_from)
    for source in change.forget:
        session.forget(source)
    if change.lost:
        session.write_lost(change.lost)
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
    """All of them, to be carried out at once."""
    each = list(changes)
    opened = [change.reopen_from for change in each if change.reopen_from is not None]
    return Change(
        starts=tuple(start for change in each for start in change.starts),
        lost=tuple(row for change in each for row in change.lost),
        reopen_from=min(opened, default=None),
        forget=tuple(source for change in each for source in change.forget),
        restamped=tuple(taken for change in each for taken in change.restamped),
    )


def next_epoch(ledgers: Iterable[SourceLedger]) -> int:
    """One above all that any start row names, and above 0: a worker that has just been stopped may yet begin 0."""
    return max((start.epoch for ledger in ledgers for start in ledger.starts), default=0) + 1


def first_minute(chain: Chain, lateness_ms: int, offsets: Offsets) -> int | None:
    """Seconds since 1970 before which no cell of the source lies from its base on; None if there is no such cell.

    A counted record's minute had not closed: its end and the lateness exceed the clock. The stream time at the base
    slice is at least the one before it, and the one that gave the slice its name.
    """
    if chain.unfinished is None and chain.position >= offsets.log_end:
        return None
    stream_time = max(chain.start_stream_time, chain.unfinished.arrived_at * 1000 if chain.unfinished else 0)
    return max(0, stream_time - lateness_ms - MINUTE_MS) // 1000
