"""The pairs of experiment and arm of one slice that count under their own names, numbered by offset (C32).

A pair of the decoder is two numbers of labels in 64 bits; they say nothing about a slice, and begin anew when there are
many labels. So a slice keeps a table from those to numbers of its own. Every record is looked up in it by the compiled
loop; Python looks at a pair once a slice.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.jit import FLAGS, NOTHING, SLOTS, UNSIGNEDS, compiled, inlined, named
from pintally.schemas.decoding.labels import Labels
from pintally.schemas.experiments import EVERY, MAX_SLICE_ARMS
from pintally.schemas.label_column import OTHER, LabelColumn

OTHER_NUMBER: Final = 0
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
        new = ~are_known(self.known, distinct)
        at = records[first[new]].tolist(), map(self._names, distinct[new].tolist()), distinct[new].tolist()
        found = sorted(zip(*at, strict=True))
        self._make_room(len(found))
        numbers = [self._number(names) for _, names, _ in found]
        _add_arms(self.known, np.array([pair for _, _, pair in found], np.uint64), np.array(numbers, np.uint32))
        self._n += len(found)

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
            there = np.flatnonzero(old.pairs)
            _add_arms(self.known, old.pairs[there], old.numbers[there])


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


def are_known(known: KnownArms, pairs: Words) -> NDArray[np.bool_]:
    """Which of these pairs of the decoder were looked at."""
    found = np.empty(len(pairs), np.bool_)
    _find_arms(known, pairs, found)
    return found


def numbers_of(known: KnownArms, pairs: Words) -> NDArray[np.uint32]:
    """The slice's number of each of these pairs, which were all looked at."""
    found = np.empty(len(pairs), np.uint32)
    _find_numbers(known, pairs, found)
    return found


@compiled(NOTHING, KNOWN_ARMS, UNSIGNEDS, SLOTS, allocates=False)
def _find_numbers(known: KnownArms, pairs: Words, found: NDArray[np.uint32]) -> None:
    for i in range(len(pairs)):
        found[i] = known.numbers[slot_of(known, pairs[i])]


@compiled(NOTHING, KNOWN_ARMS, UNSIGNEDS, FLAGS, allocates=False)
def _find_arms(known: KnownArms, pairs: Words, found: NDArray[np.bool_]) -> None:
    for i in range(len(pairs)):
        found[i] = known.pairs[slot_of(known, pairs[i])] != _FREE


@compiled(NOTHING, KNOWN_ARMS, UNSIGNEDS, SLOTS, allocates=False)
def _add_arms(known: KnownArms, pairs: Words, numbers: NDArray[np.uint32]) -> None:
    """Add pairs that are not there; there is room."""
    for i in range(len(pairs)):
        at = slot_of(known, pairs[i])
        known.pairs[at], known.numbers[at] = pairs[i], numbers[i]
