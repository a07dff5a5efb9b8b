"""The stream time of a source: the running maximum of its Kafka timestamps. Event time never moves it (C1)."""

import numpy as np
from numpy.typing import NDArray


def run(stream_time: int, timestamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stream time after each record, in ms.

    `stream_time` is the stream time before the first record; it is carried from chunk to chunk and, by the ledger, over
    restarts. A record without a timestamp (-1) leaves it where it is.
    """
    stream_times = np.maximum.accumulate(timestamps) if len(timestamps) else timestamps
    return np.maximum(stream_times, stream_time)
