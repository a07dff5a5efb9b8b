"""A chunk: the records of one source that one poll returned, in offset order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.values import Values

Headers = tuple[tuple[str, bytes | None], ...]
Envelope = tuple[bytes | None, Headers]  # a record's key and headers


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of [start, end) in fetch positions: what lies between them and has no record is absent.

    Arrays and `values` have one entry a record, ascending by offset. The values lie in what was fetched, which stays in
    memory as long as a chunk of it does.
    """

    topic: str
    partition: int
    start: int  # the fetch position before this chunk
    end: int  # the fetch position after it; where the next chunk must start
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]  # Kafka timestamps in ms; -1 where a record has none
    values: Values
    envelopes: Callable[[Sequence[int]], dict[int, Envelope]]  # offsets -> key and headers, read again on demand

    def __len__(self) -> int:
        return len(self.values)
