"""Pins that are named in a statement, as many at once as ClickHouse reads."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

AT_ONCE: Final = 10_000  # ClickHouse reads 256 KiB of a statement at most


def in_parts(pins: NDArray[np.uint64], times: int = 1) -> Iterator[tuple[int, ...]]:
    """Yields the pins in order, so many that one statement can name them this many times."""
    step = max(1, AT_ONCE // times)
    for first in range(0, len(pins), step):
        yield tuple(pins[first : first + step].tolist())
