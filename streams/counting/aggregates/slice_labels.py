"""The labels of one slice that count under their own name, numbered by offset (C29).

The decoder has numbers of its own, which say nothing about a slice: they are of the process, and begin anew when there
are many. So a slice keeps, for the decoder's numbers, its own ones. Every record is looked up by the compiled loop;
Python looks at a label once a slice.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.labels import Labels
from pintally.schemas.label_column import MAX_SLICE_LABELS, OTHER, UNKNOWN

UNKNOWN_NUMBER, OTHER_NUMBER = 0, 1
NEW: Final = np.uint32(0xFFFFFFFF)  # instead of a number: not looked at yet


class SliceLabels:
    """The surfaces, or the platforms, of one slice."""

    def __init__(self) -> None:
        self._numbers = {UNKNOWN: UNKNOWN_NUMBER, OTHER: OTHER_NUMBER}
        self._decoder: Labels | None = None  # whose numbers are in `known`
        self.known = np.empty(0, np.uint32)  # by the decoder's number, the slice's, or NEW

    @property
    def labels(self) -> tuple[str, ...]:
        """By the slice's number; a number never changes its meaning."""
        return tuple(self._numbers)

    def follow(self, decoder: Labels) -> None:
        """Read numbers of this table from now on."""
        if decoder is not self._decoder:
            self._decoder, self.known = decoder, np.empty(0, np.uint32)

    def learn(self, numbers: NDArray[np.uint32]) -> None:
        """Number the labels of these records, of a chunk in order, that are new."""
        distinct, first = np.unique(numbers, return_index=True)
        self._reach(int(distinct[-1]))
        new = self.known[distinct] == NEW
        for number in distinct[new][first[new].argsort()].tolist():
            self.known[number] = self._number(number)

    def end(self) -> None:
        """Nothing is added any more."""
        self._decoder, self.known = None, np.empty(0, np.uint32)

    def _reach(self, last: int) -> None:
        if last >= len(self.known):
            longer = np.full(max(64, 1 << last.bit_length()), NEW)
            longer[: len(self.known)] = self.known
            self.known = longer

    def _number(self, number: int) -> int:
        assert self._decoder is not None
        label = self._decoder[number]
        if label is None:
            return UNKNOWN_NUMBER
        if label not in self._numbers and len(self._numbers) == MAX_SLICE_LABELS + 2:
            return OTHER_NUMBER
        return self._numbers.setdefault(label, len(self._numbers))
