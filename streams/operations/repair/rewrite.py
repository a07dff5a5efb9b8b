"""One slice in the sink made equal to its fold (C20): nothing that a worker writes is ever in the way."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.rows import EPOCH_SHIFT, CellRows, DeadLetterRow, LedgerRow
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
    zeros = int((cells.count == 0).sum())
    return Mended(str(row.source), row.start, row.position, len(cells), zeros, letters, ledger)


def _mend_cells(session: MaintenanceSession, folded: Folded, *, complete: bool, oldest: int) -> CellRows:
    """The cells that were written."""
    row = folded.row
    found = session.read_slice(row.source, row.slice_block, row.arrived_at)
    for epoch in set((found.version >> np.uint64(EPOCH_SHIFT)).tolist()) - {row.epoch}:
        session.delete_cells(row.source, row.slice_block, row.arrived_at, epoch)
        found = session.read_slice(row.source, row.slice_block, row.arrived_at)
    newest = int(found.version.max()) if len(found) else 0
    version = max(newest, row.version) + 1 if complete else row.version
    if not complete:  # what a worker has read further than the ledger says is not ours to judge
        ahead = found.version > np.uint64(row.version)
        wrong = differing(_without(folded.cells, found.select(ahead)), found.select(~ahead))
    else:
        wrong = differing(folded.cells, found)
    wrong = wrong.select(wrong.minute >= oldest)
    wrong = replace(wrong, version=np.full(len(wrong), version, np.uint64))
    session.write_cells(wrong)
    return wrong


KEY = ("action", "minute", "pin_id")


def differing(must: CellRows, found: CellRows) -> CellRows:
    """The cells of `must` that `found` does not have with the same count, and those of `found` alone with count 0."""
    have = dict(zip(_keys(found), found.count.tolist(), strict=True))
    missing = np.array([have.get(key, 0) != n for key, n in zip(_keys(must), must.count.tolist(), strict=True)], bool)
    wanted = set(_keys(must))
    extra = np.array([n != 0 and key not in wanted for key, n in have.items()], bool)
    cleared = found.select(extra)
    return CellRows.concat([must.select(missing), replace(cleared, count=np.zeros(len(cleared), np.uint64))])


def _without(cells: CellRows, others: CellRows) -> CellRows:
    """The cells whose keys `others` do not have."""
    taken = set(_keys(others))
    return cells.select(np.array([key not in taken for key in _keys(cells)], bool))


def _keys(cells: CellRows) -> list[tuple[int, ...]]:
    columns: list[NDArray[np.generic]] = [getattr(cells, name) for name in KEY]
    return list(zip(*(column.tolist() for column in columns), strict=True))


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
