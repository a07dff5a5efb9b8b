"""What the decoder returns: the fields of events, in columns. Who only reads values needs none of it, and no numba."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.labels import Labels


@dataclass(frozen=True, slots=True)
class Experiments:
    """The experiments of n events, in the order of their text, as compressed sparse rows."""

    offsets: NDArray[np.int64]  # shape (n + 1,): those of event i are offsets[i] to offsets[i + 1] of the other columns
    pairs: NDArray[np.uint64]  # the two numbers of each: experiment << 32 | arm

    def of(self, at: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """The arms of the events at these indexes: the index of the event of each, and its pair."""
        sizes = self.offsets[at + 1] - self.offsets[at]
        begins = np.cumsum(sizes) - sizes
        within = np.arange(int(sizes.sum())) - np.repeat(begins, sizes)
        return np.repeat(at, sizes), self.pairs[np.repeat(self.offsets[at], sizes) + within]

    @property
    def experiment(self) -> NDArray[np.uint64]:
        """Numbers of labels."""
        return self.pairs >> np.uint64(32)

    @property
    def arm(self) -> NDArray[np.uint64]:
        """Numbers of labels."""
        return self.pairs & np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the contract says of values: columns as long as them; 0 where a value is invalid."""

    valid: NDArray[np.bool_]
    pin_id: NDArray[np.uint64]
    user_id: NDArray[np.uint64]
    occurred_at: NDArray[np.int64]  # ms since 1970, UTC
    event_id: NDArray[np.uint64]  # shape (n, 2): upper and lower half of the UUID
    surface: NDArray[np.uint32]  # number of a label; 0 if there is none
    platform: NDArray[np.uint32]  # number of a label; 0 if there is none
    experiments: Experiments
    labels: Labels  # by number; compare numbers only where this is the same object
    reasons: Mapping[int, str]  # index -> why that value is invalid

    @classmethod
    def blank(cls, count: int) -> "Decoded":
        """Columns of values of which none is valid, without reasons."""
        return cls(
            valid=np.zeros(count, np.bool_),
            pin_id=np.zeros(count, np.uint64),
            user_id=np.zeros(count, np.uint64),
            occurred_at=np.zeros(count, np.int64),
            event_id=np.zeros((count, 2), np.uint64),
            surface=np.zeros(count, np.uint32),
            platform=np.zeros(count, np.uint32),
            experiments=Experiments(np.zeros(count + 1, np.int64), np.zeros(0, np.uint64)),
            labels=Labels(),
            reasons=MappingProxyType({}),
        )
