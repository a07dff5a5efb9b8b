"""One slice in the sink made equal to its fold (C20): nothing that a worker writes is ever in the way."""

from dataclasses import dataclass, replace

import numpy as np

from pintally.schemas.cells import CellRows, Rows
from pintally.schemas.rows import EPOCH_SHIFT, DeadLetterRow, LedgerRow
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.operations.repair.refold import Folded
from pintally.streams.operations.repair.segments import KEPT_SECONDS


@dataclass(frozen=True, slots=True)
class Mended:
    """What was wrong in one slice, and is not any more."""

    source: str
    start: int
    end: int
    cells: int = 0  # written with another count, or for the first time
    cleared: int = 0  # of these, those that should not be there: count 0
    letters: int = 0  # dead letters written or deleted
    ledger: bool = False  # its ledger row was written anew

    def __bool__(self) -> bool:
        return bool(self.cells or self.letters or self.ledger)


def mend(
    session: MaintenanceSession, folded: Folded, known: LedgerRow | None, *, complete: bool, now: int, letters_from: int
) -> Mended:
    """Compare a slice's rows with its fold, and write what differs.

    `now` is in seconds since 1970, and so is `letters_from`: dead letters of slices that arrived before may be gone
    with age, and are not missed.

    A complete slice gets versions above every one that is there: nobody writes it any more but with the same counts. Of
    an unfinished one `folded` goes to the position of its ledger row; what is wrong or missing there gets the version
    of that row, so that whatever a worker has read further stays. Rows of another epoch do not belong here and are
    deleted: no version of this one could win over them.
    """
    row = folded.row
    cells = _mend_cells(session, folded, complete=complete, oldest=now - KEPT_SECONDS)
    letters = _mend_letters(session, folded, write=row.arrived_at >= letters_from)
    ledger = complete and known != row
    if ledger:
        if known and known.version > row.version:
            session.delete_ledger([known])
        session.write_ledger([row])
    zeros = sum(int((getattr(rows, rows.values()[0]) == 0).sum()) for rows in cells)
    return Mended(str(row.source), row.start, row.position, sum(map(len, cells)), zeros, letters, ledger)


def _mend_cells(session: MaintenanceSession, folded: Folded, *, complete: bool, oldest: int) -> list[CellRows]:
    """The cells that were written, of each aggregate."""
    row = folded.row
    name = row.source, row.slice_block, row.arrived_at
    found = [session.read_slice(type(must), *name) for must in folded.cells]
    epochs = {epoch for rows in found for epoch in (rows.version >> np.uint64(EPOCH_SHIFT)).tolist()} - {row.epoch}
    for epoch in epochs:
        session.delete_cells(*name, epoch)
    if epochs:
        found = [session.read_slice(type(must), *name) for must in folded.cells]
    newest = max((int(rows.version.max()) for rows in found if len(rows)), default=0)
    version = max(newest, row.version) + 1 if complete else row.version
    written = []
    for must, there in zip(folded.cells, found, strict=True):
        if complete:
            wrong = differing(must, there)
        else:  # what a worker has read further than the ledger says is not ours to judge
            ahead = there.version > np.uint64(row.version)
            wrong = differing(_without(must, there.select(ahead)), there.select(~ahead))
        wrong = wrong.select(getattr(wrong, wrong.window) >= oldest)
        written.append(replace(wrong, version=np.full(len(wrong), version, np.uint64)))
    session.write_cells(*written)
    return written


def differing(must: Rows, found: Rows) -> Rows:
    """The cells of `must` that `found` does not have with the same values, and those of `found` alone with zeros."""
    values = must.values()
    zeros = (0,) * len(values)
    have = dict(zip(found.tuples(found.key), found.tuples(values), strict=True))
    wanted = dict(zip(must.tuples(must.key), must.tuples(values), strict=True))
    missing = np.array([have.get(key, zeros) != value for key, value in wanted.items()], bool)
    extra = np.array([value != zeros and key not in wanted for key, value in have.items()], bool)
    cleared = found.select(extra)
    cleared = replace(cleared, **{name: np.zeros_like(getattr(cleared, name)) for name in values})
    return must.concat([must.select(missing), cleared])


def _without(cells: Rows, others: Rows) -> Rows:
    """The cells whose keys `others` do not have."""
    taken = set(others.tuples(others.key))
    return cells.select(np.array([key not in taken for key in cells.tuples(cells.key)], bool))


def _mend_letters(session: MaintenanceSession, folded: Folded, *, write: bool) -> int:
    """How many dead letters were written or deleted."""
    row = folded.row
    found = {letter.offset: letter for letter in session.read_dead_letters(row.source, row.start, row.position)}
    must = {letter.offset: letter for letter in folded.letters}
    wrong = [letter for offset, letter in must.items() if not _same(letter, found.get(offset), write=write)]
    extra = found.keys() - must.keys()
    foreign = {offset for offset, letter in found.items() if letter.epoch != row.epoch}
    session.delete_letters(row.source, sorted(extra | foreign))  # first: it spares no epoch
    session.write_dead_letters(wrong)
    return len(wrong) + len(extra)


def _same(letter: DeadLetterRow, found: DeadLetterRow | None, *, write: bool) -> bool:
    """Whether a letter is there as it must be; its reason is words. One that may have gone with age is not missed."""
    return replace(letter, reason=found.reason) == found if found else not write
