"""The duplicate filter (rule 2)."""

import numpy as np
from numpy.typing import NDArray


class SeenIds:
    """The ids that can still make a later record of their source a duplicate."""

    def __init__(self, slice_records: int) -> None:
        self.slice_records = slice_records
        self._last: dict[bytes, tuple[int, int]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return len(self._last) * 150

    def register(self, ids: NDArray[np.uint64], block: int, bucket: int) -> NDArray[np.bool_]:
        """Register the ids of records that lie in one slice, in order; which of them repeat an earlier one?

        Only a record whose block and bucket are the same or one less makes another one a duplicate. Calls come in the
        order of the log: neither `block` nor `bucket` ever falls.
        """
        repeats = np.zeros(len(ids), np.bool_)
        for i, upper_lower in enumerate(ids):
            key = upper_lower.tobytes()
            seen = self._last.get(key)
            repeats[i] = seen is not None and seen[0] >= block - 1 and seen[1] >= bucket - 1
            self._last[key] = (block, bucket)
        return repeats
