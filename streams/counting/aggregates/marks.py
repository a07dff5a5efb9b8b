"""What the sink does not know yet: one mark a cell, which each flush takes, and its answer settles."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DIRTY: Final = np.uint8(1)  # changed since it was last taken for a flush
IN_FLIGHT: Final = np.uint8(2)  # taken for a flush that is not answered yet
SOURCE: Final = __file__  # named by compiled loops that use a mark: they hold its value

Marks = NDArray[np.uint8]


def take(marks: Marks) -> NDArray[Any]:
    """Put the dirty cells in flight; returns their indexes."""
    dirty = np.flatnonzero(marks & DIRTY)
    marks[dirty] = IN_FLIGHT
    return dirty


def settle(marks: Marks) -> int:
    """The sink has what was in flight. Cells that changed meanwhile stay dirty; returns how many."""
    marks &= DIRTY
    return int(np.count_nonzero(marks))


def take_back(marks: Marks) -> None:
    """The flush failed: what was in flight is dirty again. Its counts are the newest, because they never left."""
    marks |= marks >> 1
    marks &= DIRTY
