"""Rows of a truncated slice, re-stamped with the epoch that begins with that slice (C19).

The rows are true, but the log that could prove it is gone. A stale worker in the middle of an insert may later write
more rows of that slice than `accept-loss` knew of. Their records beyond the truncation are counted after it, so they
would be counted twice. With a higher epoch the existing rows stay, and everything that the stale worker writes is
superseded.
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

    begin: StartRow  # of the new epoch, with the rules that the rows were counted by
    epoch: int  # of the rows until now
    end: int  # offset: no row counts records beyond it
    names: tuple[tuple[int, int], ...]  # slice_block, arrived_at: slices that have cells
    rows: tuple[LedgerRow, ...]


def restamp(session: MaintenanceSession, taken: Restamp) -> None:
    """Write the rows again with the new epoch; of equal keys the higher epoch is current. Call it before the start row.

    Raises SinkUnavailable if a worker has written more rows since the plan was made. Then plan again.
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
