"""The experiment that emulated events name: a quarter of all users is in it, half of these in each arm.

The arm is a fixed function of the user. It is another one than that of buckets (C32), so that each bucket has users of
both arms. Nobody changes arms.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

EXPERIMENT: Final = "ranker_q4"
ARMS: Final = ("", "control", "treatment")  # by number; 0: not in the experiment
TREATMENT: Final = 2
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
_SHIFT: Final = np.uint64(61)
_OUTSIDE: Final = 5  # of eight parts of all users, the first six


def arms_of(users: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The number of the arm of each user."""
    eighth = (users * _MIX >> _SHIFT).astype(np.int64)
    return np.maximum(eighth - _OUTSIDE, 0).astype(np.uint8)
