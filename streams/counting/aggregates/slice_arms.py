"""The pairs of experiment and arm of one slice that count under their own names, numbered by offset (C32).

A pair of the decoder is two numbers of labels in 64 bits; they say nothing about a slice, and begin anew when there are
many labels. So a slice keeps a table from those to numbers of its own. Every record is looked up in it by the compiled
loop; Python looks at a pair once a slice.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.jit import NUMBER, SLOTS, UNSIGNED, UNSIGNEDS, compiled, inlined, named
from pintally.schemas.decoding.labels import Labels
from pintally.schemas.experiments import EVERY, MAX_SLICE_ARMS
from pintally.schemas.label_column import OTHER, LabelColumn

OTHER_NUMBER: Final = 0
NEW: Final = 0xFFFFFFFF  # instead of a number: not looked at yet
IGNORED: Final = 0xFFFFFFFE  # instead of a number: nobody asked for the experiment
MOST: Final = 1 << 16  # pairs of the decoder that a table keeps from one chunk to the next
_SMALLEST: Final = 64  # slots
_SPARE: Final = 4  # slots a pair
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
_FREE: Final = np.uint64(0)  # no pair of the decoder: its labels are numbered from 1 on

Words = NDArray[np.uint64]


class KnownArms(NamedTuple):
    """An open-addressing table: the slice's number of each pair of the decoder that was looked at."""

    pairs: Words  # _FREE where there is none
    numbers: NDArray[np.uint32]


KNOWN_ARMS: Final = named(KnownArms, UNSIGNEDS, SLOTS)


class SliceArms:
    """The arms of one slice."""

    def __init__(self, experiments: Iterable[str]) -> None:
        self._asked = frozenset(experiments)
        self._numbers = {(OTHER, OTHER): OTHER_NUMBER}
        self._decoder: Labels | None = None  # whose numbers are in `known`
        self._forget()

    @property
    def labels(self) -> tuple[LabelColumn, LabelColumn]:
        """Experiments and arms by the slice's number; a number never changes its meaning."""
        experiments, arms = zip(*self._numbers, strict=True)
        return LabelColumn.of(experiments), LabelColumn.of(arms)

    def follow(self, decoder: Labels) -> None:
        """Read numbers of this table from now on."""
        if decoder is not self._decoder or self._n > MOST:
            self._decoder = decoder
            self._forget()

    def learn(self, pairs: Words, records: NDArray[np.int64]) -> None:
        """Number the pairs that are new, in the order of the records that they are of; within a record by name."""
        distinct, first = np.unique(pairs, return_index=True)
        new = np.array([find_arm(self.known, pair) == NEW for pair in distinct], np.bool_)
        found = zip(records[first[new]].tolist(), map(self._names, distinct[new].tolist()), distinct[new], strict=True)
        self._make_room(int(np.count_nonzero(new)))
        for _, names, pair in sorted(found):
            _add_arm(self.known, pair, self._number(names))
            self._n += 1

    def end(self) -> None:
        """Nothing is added any more."""
        self._decoder = None
        self._forget()

    def _names(self, pair: int) -> tuple[str, str]:
        assert self._decoder is not None
        experiment, arm = self._decoder[pair >> 32], self._decoder[pair & 0xFFFFFFFF]
        assert experiment is not None
        assert arm is not None
        return experiment, arm

    def _number(self, names: tuple[str, str]) -> int:
        if EVERY not in self._asked and names[0] not in self._asked:
            return IGNORED
        if names not in self._numbers and len(self._numbers) == MAX_SLICE_ARMS + 1:
            return OTHER_NUMBER
        return self._numbers.setdefault(names, len(self._numbers))

    def _forget(self) -> None:
        self._n = 0
        self.known = _table(_SMALLEST)

    def _make_room(self, more: int) -> None:
        needed = _SPARE * (self._n + more)
        if needed > len(self.known.pairs):
            old, self.known = self.known, _table(1 << needed.bit_length())
            for at in np.flatnonzero(old.pairs):
                _add_arm(self.known, old.pairs[at], old.numbers[at])


def _table(slots: int) -> KnownArms:
    return KnownArms(np.full(slots, _FREE), np.zeros(slots, np.uint32))


@inlined
def slot_of(known: KnownArms, pair: np.uint64) -> np.int64:
    """The slot that has a pair, or the first free one."""
    mask = np.int64(len(known.pairs) - 1)
    at = np.int64(pair * _MIX >> np.uint64(32)) & mask
    while known.pairs[at] != _FREE and known.pairs[at] != pair:
        at = (at + 1) & mask
    return at


@compiled(NUMBER, KNOWN_ARMS, UNSIGNED, allocates=False)
def find_arm(known: KnownArms, pair: np.uint64) -> int | np.int64:
    """The slice's number of a pair of the decoder, IGNORED or NEW."""
    at = slot_of(known, pair)
    return NEW if known.pairs[at] == _FREE else np.int64(known.numbers[at])


def _add_arm(known: KnownArms, pair: np.uint64, number: int) -> None:
    mask = len(known.pairs) - 1
    at = int(pair) * int(_MIX) % 2**64 >> 32 & mask
    while known.pairs[at] != _FREE:
        at = (at + 1) & mask
    known.pairs[at], known.numbers[at] = pair, number
