"""Rows of a slice that was cut short, said again by the epoch that begins with it (C19).

They are true, and the log that could say so again is gone. A worker that sleeps in the middle of an insert may wake up
and write more of that slice than `accept-loss` knew of, and what it tells of beyond the cut is counted after it. Said
by a higher epoch, the rows stay what they are, and whatever it writes is superseded.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from pintally.schemas.cells import CELL_TABLES
from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.rows import EPOCH_SHIFT, LAST_OFFSET, LedgerRow, StartRow, version_of
from pintally.sinks.maintenance import MaintenanceSession


@dataclass(frozen=True, slots=True)
class Restamp:
    """The rows of one source in slices from `begin` on."""

    begin: StartRow  # of the epoch that shall have said them, under the rules they were counted by
    epoch: int  # that said them
    end: int  # offset: none of them tells of more
    names: tuple[tuple[int, int], ...]  # slice_block, arrived_at: slices that have cells
    rows: tuple[LedgerRow, ...]


def restamp(session: MaintenanceSession, taken: Restamp) -> None:
    """Write them again: of equal keys the higher epoch stays. Before its start row: nothing is superseded yet.

    Raises SinkUnavailable if by now some tell of more than was known; then all is to be planned again.
    """
    source, epoch = taken.begin.source, taken.begin.epoch
    for name, kind in product(taken.names, CELL_TABLES):
        cells = session.read_slice(kind, source, *name)
        cells = cells.select(cells.version >> np.uint64(EPOCH_SHIFT) >= taken.epoch)  # others are superseded
        positions = cells.version & np.uint64(LAST_OFFSET)
        if (positions > taken.end).any():
            raise SinkUnavailable(f"{source}: a worker has written rows since this was planned", "Run it again.")
        session.write_cells(replace(cells, version=positions + np.uint64(version_of(epoch, 0))))
    letters = session.read_dead_letters(source, taken.begin.start, taken.end)
    session.write_dead_letters([replace(letter, epoch=epoch) for letter in letters if letter.epoch >= taken.epoch])
    session.write_ledger([replace(row, epoch=epoch) for row in taken.rows])
