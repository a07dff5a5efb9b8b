"""Counts a pin and minute: made from columns of events, and compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELL = np.dtype([("pin", "<u8"), ("minute", "<u4"), ("events", "<u8")])  # minute: its start, seconds since 1970

Cells = NDArray[np.void]  # of CELL, by minute and pin, each pair once


def count(pins: NDArray[np.uint64], minutes: NDArray[np.uint32]) -> Cells:
    """The cells of events, given the pin and the minute of each."""
    order = np.lexsort((pins, minutes))
    pins, minutes = pins[order], minutes[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (pins[1:] != pins[:-1]) | (minutes[1:] != minutes[:-1])
    starts = np.flatnonzero(first)
    cells = np.empty(len(starts), CELL)
    cells["pin"], cells["minute"] = pins[starts], minutes[starts]
    cells["events"] = np.diff(np.append(starts, len(order)))
    return cells


@dataclass(frozen=True, slots=True)
class Difference:
    """How counts differ from what they must be, in cells."""

    missing: int
    unknown: int  # there, though nothing was to be counted
    unequal: int  # there with another count

    @property
    def wrong(self) -> int:
        """Cells that are not as they must be."""
        return self.missing + self.unknown + self.unequal


def compare(found: Cells, expected: Cells) -> Difference:
    """What is wrong with `found`. A cell that is found twice counts as unknown the second time."""
    everything = np.concatenate([expected, found])
    side = np.repeat([0, 1], [len(expected), len(found)])
    order = np.lexsort((side, everything["pin"], everything["minute"]))
    cells, side = everything[order], side[order]
    same = (cells["pin"][1:] == cells["pin"][:-1]) & (cells["minute"][1:] == cells["minute"][:-1])
    pairs = same & (side[1:] == 1) & (side[:-1] == 0)
    unequal = pairs & (cells["events"][1:] != cells["events"][:-1])
    met = int(pairs.sum())
    return Difference(len(expected) - met, len(found) - met, int(unequal.sum()))
