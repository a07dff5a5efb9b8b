"""What the contract says of the values of a chunk, in columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Decoded:
    """Columns of a chunk, each as long as its values; 0 where a value is invalid."""

    valid: NDArray[np.bool_]
    pin_id: NDArray[np.uint64]
    occurred_at: NDArray[np.int64]  # ms since 1970, UTC
    event_id: NDArray[np.uint64]  # shape (n, 2): upper and lower half of the UUID
    reasons: Mapping[int, str]  # index -> why that value is invalid

    @classmethod
    def blank(cls, count: int, reasons: Mapping[int, str]) -> "Decoded":
        """Columns to be filled, none of whose values is valid yet."""
        return cls(
            valid=np.zeros(count, np.bool_),
            pin_id=np.zeros(count, np.uint64),
            occurred_at=np.zeros(count, np.int64),
            event_id=np.zeros((count, 2), np.uint64),
            reasons=MappingProxyType(reasons),
        )
