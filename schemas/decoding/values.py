"""What the decoder is given: the values of records, in columns.

Values lie in one text: no object is made of a value until somebody asks for it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

TOMBSTONE: Final = -1  # the length of a value that is not there


@dataclass(frozen=True, slots=True, eq=False)
class Values(Sequence[bytes | None]):
    """n values; they may lie anywhere in `text`, which may hold more than them. None is a tombstone."""

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]  # shape (n,): places in the text
    lengths: NDArray[np.int64]  # shape (n,): bytes

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> "Values":
        """These values, one behind the other."""
        lengths = np.fromiter((TOMBSTONE if value is None else len(value) for value in values), np.int64, len(values))
        stops = np.maximum(lengths, 0).cumsum()
        text = np.frombuffer(b"".join(value or b"" for value in values), np.uint8)
        return cls(text, stops - np.maximum(lengths, 0), lengths)

    @classmethod
    def joined(cls, parts: "Sequence[Values]") -> "Values":
        """All of these, in order; where they do not share one text, their texts are copied into one."""
        if not parts:
            return cls.of([])
        if len(parts) == 1:
            return parts[0]
        shifts, texts = list[int](), list[NDArray[np.uint8]]()
        for part in parts:
            if not texts or part.text is not texts[-1]:
                texts.append(part.text)
            shifts.append(sum(map(len, texts[:-1])))
        return cls(
            texts[0] if len(texts) == 1 else np.concatenate(texts),
            np.concatenate([part.starts + shift for part, shift in zip(parts, shifts, strict=True)]),
            np.concatenate([part.lengths for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, at: int) -> bytes | None: ...
    @overload
    def __getitem__(self, at: slice) -> "Values": ...
    def __getitem__(self, at: int | slice) -> "bytes | Values | None":
        if isinstance(at, slice):
            return Values(self.text, self.starts[at], self.lengths[at])
        start, length = int(self.starts[at]), int(self.lengths[at])
        return None if length == TOMBSTONE else self.text[start : start + length].tobytes()

    def __iter__(self) -> Iterator[bytes | None]:
        return iter(self.at(slice(None)))

    def at(self, places: NDArray[np.int64] | slice) -> list[bytes | None]:
        """The values there."""
        text = self.text.data
        return [
            None if length == TOMBSTONE else bytes(text[start : start + length])
            for start, length in zip(self.starts[places].tolist(), self.lengths[places].tolist(), strict=True)
        ]
