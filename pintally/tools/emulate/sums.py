"""How often each key came, in little memory."""

import numpy as np
from numpy.typing import NDArray

MOST_PARTS = 256


class Sums:
    """Counts keys of 63 bits."""

    def __init__(self) -> None:
        self._keys: list[NDArray[np.int64]] = []
        self._counts: list[NDArray[np.int64]] = []

    def add(self, keys: NDArray[np.int64]) -> None:
        """Count each of the keys once more."""
        found, counts = np.unique(keys, return_counts=True)
        self._keys.append(found)
        self._counts.append(counts.astype(np.int64))
        if len(self._keys) > MOST_PARTS:
            self._merge()

    def by_key(self) -> dict[int, int]:
        """How often each came."""
        self._merge()
        return {
            key: count
            for keys, counts in zip(self._keys, self._counts, strict=True)
            for key, count in zip(keys.tolist(), counts.tolist(), strict=True)
        }

    def _merge(self) -> None:
        if len(self._keys) > 1:
            keys, inverse = np.unique(np.concatenate(self._keys), return_inverse=True)
            counts = np.zeros(len(keys), np.int64)
            np.add.at(counts, inverse, np.concatenate(self._counts))
            self._keys, self._counts = [keys], [counts]
