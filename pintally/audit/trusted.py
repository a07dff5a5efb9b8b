"""Which counted records are trusted (C30): of one user and pin, the first `cap` of a slice, by offset.

All records of a source have one action. Records are found by sorting, as duplicates are: only where some user and pin
occur more than `cap` times is there anything to leave out.
"""

import numpy as np
from numpy.typing import NDArray

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd: other pins and users seldom have the same mark, and then nothing is wrong


def trusted(pins: NDArray[np.uint64], users: NDArray[np.uint64], cap: int) -> NDArray[np.bool_]:
    """Which records of a slice are trusted; they ascend by offset. A cap of 0 trusts all."""
    found = np.ones(len(pins), np.bool_)
    if cap == 0 or len(pins) <= cap:
        return found
    marks = pins * _MIX ^ users
    ordered = np.sort(marks)
    above = ordered[cap:][ordered[cap:] == ordered[:-cap]]
    if not len(above):
        return found
    at = np.flatnonzero(np.isin(marks, above))
    order = at[np.lexsort((users[at], pins[at]))]  # is stable: offsets ascend
    pins, users = pins[order], users[order]
    begins = np.flatnonzero(np.append(True, (pins[1:] != pins[:-1]) | (users[1:] != users[:-1])))
    earlier = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    found[order] = earlier < cap
    return found
