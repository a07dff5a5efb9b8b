"""Makes the rows of one slice equal to its recount (C20), without disturbing workers that write them too."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pintally.schemas.cells import CELL_TABLES, CellRows, Rows, rows_of
from pintally.schemas.rows import EPOCH_SHIFT, DeadLetterRow, LedgerRow
from pintally.sinks.maintenance import MaintenanceSession
from pintally.streams.operations.repair.refold import Folded


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was repaired in one slice."""

    source: str
    start: int
    end: int
    cells: int = 0  # rewritten with another count, or added
    cleared: int = 0  # of these, cells that should not exist: written with count 0
    letters: int = 0  # dead letters written or deleted
    ledger: bool = False  # its ledger row was rewritten

    def __bool__(self) -> bool:
        return bool(self.cells or self.letters or self.ledger)


def repair_slice(
    session: MaintenanceSession,
    folded: Folded,
    known: LedgerRow | None,
    *,
    complete: bool,
    cells_from: Mapping[type[CellRows], int],
    letters_from: int,
) -> Repaired:
    """Compare the rows of a slice with its recount, and rewrite those that differ.

    `cells_from` and `letters_from` are in seconds since 1970. Cells of windows before those, of their table, and dead
    letters of slices that arrived before may be deleted by age, and are not restored.

    In a complete slice, rows get a version above every existing one: workers write it only with the same counts. In an
    unfinished slice, `folded` ends at the position of the ledger row. Wrong or missing rows get the version of that
    row, so that newer rows of a worker stay. Rows of another epoch are deleted, because no version of this epoch could
    replace them.
    """
    row = folded.row
    cells = _repair_cells(session, folded, complete=complete, cells_from=cells_from)
    letters = _repair_letters(session, folded, write=row.arrived_at >= letters_from)
    ledger = complete and known != row
    if ledger:
        if known and known.version > row.version:
            session.delete_ledger([known])
        session.write_ledger([row])
    zeros = sum(int((getattr(rows, rows.values()[0]) == 0).sum()) for rows in cells)
    return Repaired(str(row.source), row.start, row.position, sum(map(len, cells)), zeros, letters, ledger)


def _repair_cells(
    session: MaintenanceSession, folded: Folded, *, complete: bool, cells_from: Mapping[type[CellRows], int]
) -> list[CellRows]:
    """Returns the cells that were written, of each aggregate."""
    row = folded.row
    name = row.source, row.slice_block, row.arrived_at
    wanted = [rows_of(kind, folded.cells) for kind in CELL_TABLES]  # none of what the rules do not count
    found = [session.read_slice(type(must), *name) for must in wanted]
    epochs = {epoch for rows in found for epoch in (rows.version >> np.uint64(EPOCH_SHIFT)).tolist()} - {row.epoch}
    for epoch in epochs:
        session.delete_cells(*name, epoch)
    if epochs:
        found = [session.read_slice(type(must), *name) for must in wanted]
    newest = max((int(rows.version.max()) for rows in found if len(rows)), default=0)
    version = max(newest, row.version) + 1 if complete else row.version
    written = []
    for must, there in zip(wanted, found, strict=True):
        if complete:
            wrong = differing(must, there)
        else:  # rows ahead of the ledger are not checked: a worker is writing them
            ahead = there.version > np.uint64(row.version)
            wrong = differing(_without(must, there.select(ahead)), there.select(~ahead))
        wrong = wrong.select(getattr(wrong, wrong.window) >= cells_from.get(type(wrong), 0))
        written.append(replace(wrong, version=np.full(len(wrong), version, np.uint64)))
    session.write_cells(*written)
    return written


def differing(must: Rows, found: Rows) -> Rows:
    """Returns the cells of `must` that differ in `found`; and with zeros the cells that only `found` has."""
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
    """Returns the cells whose keys are not in `others`."""
    taken = set(others.tuples(others.key))
    return cells.select(np.array([key not in taken for key in cells.tuples(cells.key)], bool))


def _repair_letters(session: MaintenanceSession, folded: Folded, *, write: bool) -> int:
    """Returns how many dead letters were written or deleted."""
    row = folded.row
    found = {letter.offset: letter for letter in session.read_dead_letters(row.source, row.start, row.position)}
    must = {letter.offset: letter for letter in folded.letters}
    wrong = [letter for offset, letter in must.items() if not _same(letter, found.get(offset), write=write)]
    extra = found.keys() - must.keys()
    foreign = {offset for offset, letter in found.items() if letter.epoch != row.epoch}
    session.delete_letters(row.source, sorted(extra | foreign))  # before writing, because it deletes all epochs
    session.write_dead_letters(wrong)
    return len(wrong) + len(extra)


def _same(letter: DeadLetterRow, found: DeadLetterRow | None, *, write: bool) -> bool:
    """Whether a dead letter is right, except for its reason. A missing one is right if it may be deleted by age."""
    return replace(letter, reason=found.reason) == found if found else not write
