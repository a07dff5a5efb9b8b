"""The clock of a source: the running maximum of its Kafka timestamps. Event time never moves it (C1)."""

import numpy as np
from numpy.typing import NDArray


def run(clock: int, timestamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The clock after each record, in ms.

    `clock` is the clock before the first record; it is carried from chunk to chunk and, by the ledger, over restarts.
    A record without a timestamp (-1) leaves it where it is.
    """
    clocks = np.maximum.accumulate(timestamps) if len(timestamps) else timestamps
    return np.maximum(clocks, clock)
