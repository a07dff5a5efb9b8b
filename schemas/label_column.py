"""A column of strings that repeat, as each string once and a number a row: Arrow's DictionaryArray, LowCardinality of
ClickHouse. Nothing here works row by row but `of` and `tolist`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

MAX_SLICE_LABELS: Final = 256  # surfaces, and as many platforms, of one slice that count under their own label (C29)
UNKNOWN: Final = "unknown"  # instead of a label: the event has none
OTHER: Final = "other"  # instead of a label: it is not among the first ones of its slice


@dataclass(frozen=True, slots=True, eq=False)
class LabelColumn:
    """n labels. `labels` may hold some that no row has; it holds none twice."""

    numbers: NDArray[np.uint32]  # shape (n,): index in `labels`
    labels: tuple[str, ...]

    @classmethod
    def of(cls, labels: Iterable[str]) -> Self:
        """A column of these labels, row by row."""
        numbers: dict[str, int] = {}
        rows = [numbers.setdefault(label, len(numbers)) for label in labels]
        return cls(np.array(rows, np.uint32), tuple(numbers))

    @classmethod
    def repeat(cls, label: str, n: int) -> Self:
        """A column of n times one label."""
        return cls(np.zeros(n, np.uint32), (label,))

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """All rows of `parts`, in order; no rows for no parts."""
        numbers: dict[str, int] = {}
        rows = [np.empty(0, np.uint32)]
        for part in parts:
            own = [numbers.setdefault(label, len(numbers)) for label in part.labels]
            rows.append(np.array(own, np.uint32)[part.numbers])
        return cls(np.concatenate(rows), tuple(numbers))

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, at: "NDArray[Any] | slice") -> "LabelColumn":
        """The rows at some indexes, where a mask is true, or of a slice."""
        return LabelColumn(self.numbers[at], self.labels)

    def __eq__(self, other: object) -> bool:
        """Whether both say the same, however their labels are numbered."""
        if not isinstance(other, LabelColumn):
            return NotImplemented
        if self.labels == other.labels:
            return np.array_equal(self.numbers, other.numbers)
        joined = LabelColumn.concat([self, other]).numbers
        return len(self) == len(other) and np.array_equal(joined[: len(self)], joined[len(self) :])

    __hash__ = None  # type: ignore[assignment]

    def tolist(self) -> list[str]:
        """The labels row by row."""
        return [self.labels[number] for number in self.numbers.tolist()]
