"""What the decoder is given and what it returns, in columns.

Values lie in one text: no object is made of a value until somebody asks for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.labels import Labels

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


@dataclass(frozen=True, slots=True)
class Experiments:
    """The experiments of n events, in the order of their text, as compressed sparse rows."""

    offsets: NDArray[np.int64]  # shape (n + 1,): those of event i are offsets[i] to offsets[i + 1] of the other columns
    pairs: NDArray[np.uint64]  # the two numbers of each: experiment << 32 | arm

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
