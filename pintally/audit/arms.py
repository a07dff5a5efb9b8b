"""The experiments of events as numbers, and the arms that each record counts under (C32).

A pair of experiment and arm counts under its own names if it is among the first KEPT different ones of the counted
records of its slice, by offset, and within a record in the order of the names. Any other counts as OTHER, in both. That
pair takes no place of the KEPT. Pairs whose experiment the rules do not name are left out first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pintally.audit.labels import KEPT, OTHER

EVERY = "*"  # instead of names in the rules: all experiments
BUCKETS = 256
Pair = tuple[str, str]  # experiment, arm
Numbers = NDArray[np.uint32]
_SALT, _FIRST, _SECOND = (np.uint64(n) for n in (0x4CF2D2BAAE6DA887, 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53))
_SHIFT = np.uint64(33)


class Assigned(dict[tuple[Pair, ...], int]):
    """The number of each set of arms that an event names, in the order in which they came; 0 is that of none."""

    def __init__(self) -> None:
        super().__init__({(): 0})

    def number(self, experiments: Mapping[str, str] | None) -> int:
        """The number of the arms of an event; a new set gets the next one."""
        return self.setdefault(tuple(sorted((experiments or {}).items())), len(self))


def buckets(users: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The bucket of each user, `intHash64(user_id) % 256` of ClickHouse: MurmurHash3's finalizer over user XOR salt."""
    words = users ^ _SALT
    for factor in (_FIRST, _SECOND):
        words = (words ^ words >> _SHIFT) * factor
    return ((words ^ words >> _SHIFT) % np.uint64(BUCKETS)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class CountedArms:
    """One entry a record and arm: the place of the record among those that were given, and its arm in `pairs`."""

    records: NDArray[np.int64]  # ascend
    arms: Numbers
    pairs: tuple[Pair, ...]  # under which they count
    kept: frozenset[Pair]  # those that count under their own names

    @property
    def names(self) -> tuple[str, ...]:
        """All names of experiments and arms."""
        return tuple({name for pair in self.pairs for name in pair})


def arms_of(assigned: Assigned, numbers: Numbers, experiments: tuple[str, ...]) -> CountedArms:
    """The arms of counted records of a slice. `numbers` are of their sets of arms, by offset."""
    sets = list(assigned)
    asked = [[pair for pair in pairs if EVERY in experiments or pair[0] in experiments] for pairs in sets]
    named = dict.fromkeys(pair for number in _in_order(numbers) for pair in asked[number] if pair != (OTHER, OTHER))
    kept = frozenset(list(named)[:KEPT])
    pairs = tuple(sorted(kept | {(OTHER, OTHER)}))
    place = {pair: number for number, pair in enumerate(pairs)}
    own = [[place.get(pair, place[OTHER, OTHER]) for pair in each] for each in asked]
    sizes = np.array([len(each) for each in own], np.int64)
    first = np.cumsum(sizes) - sizes
    records = np.repeat(np.arange(len(numbers)), sizes[numbers])
    begins = np.cumsum(sizes[numbers]) - sizes[numbers]
    within = np.arange(len(records)) - begins[records]
    flat = np.array([number for each in own for number in each], np.uint32)
    return CountedArms(records, flat[first[numbers[records]] + within], pairs, kept)


def _in_order(numbers: Numbers) -> Iterator[int]:
    """The different numbers, in the order in which they come first."""
    distinct, first = np.unique(numbers, return_index=True)
    yield from distinct[np.argsort(first)].tolist()
