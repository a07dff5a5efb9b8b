"""How old, and how many, the records are that no flush has taken yet. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Unflushed:
    """Records that were not flushed before, and have a Kafka timestamp."""

    oldest: int | None = None  # the lowest timestamp, in ms; None: there is none
    records: int = 0

    @classmethod
    def of(cls, timestamps: NDArray[np.int64]) -> "Unflushed":
        """Those of these timestamps, in ms; -1 is none."""
        if len(timestamps) and (lowest := int(timestamps.min())) >= 0:
            return cls(lowest, len(timestamps))
        timestamps = timestamps[timestamps >= 0]
        return cls(int(timestamps.min()), len(timestamps)) if len(timestamps) else NOTHING

    def __add__(self, other: "Unflushed") -> "Unflushed":
        known = [each for each in (self.oldest, other.oldest) if each is not None]
        return Unflushed(min(known, default=None), self.records + other.records)


NOTHING: Final = Unflushed()
