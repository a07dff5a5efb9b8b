"""What stands behind the prefix of values that are written alike: validated once, then recognised by its hash.

Good tails lie one behind the other in one text. A hash leads to the few that may be the same; that one is the same, its
length and all of its bytes say.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.columns import Mask, Places, Text
from pintally.schemas.decoding.jit import (
    FLAGS,
    NOTHING,
    NUMBER,
    PLACES,
    UNSIGNED,
    WORDS,
    Word,
    compiled,
    last_characters,
    part,
    words_of,
)

MAX_TAIL: Final = 512  # bytes
MAX_TAILS: Final = 4_096  # refused ones included; then all are forgotten, for apps and experiments change
LESSONS: Final = 16  # tails that a chunk may teach: each costs as much as reading some 50 values
_SAMPLE: Final = 256  # unknown tails of a chunk that are looked at
_FREE: Final = -1
_MULTIPLIER: Final = Word(0xD6E8FEB86659FD93)


@part
def hash_of(words: NDArray[np.uint64], start: int, end: int, seed: Word) -> Word:
    """64 bits of the bytes from `start` to `end`, of which there is one at least; eight bytes stand before `end`."""
    found = seed ^ Word(end - start)
    for at in range(start, end - 7, 8):
        found = (found ^ words[at]) * _MULTIPLIER
        found ^= found >> Word(32)
    found = (found ^ last_characters(words[end - 8], min(8, end - start))) * _MULTIPLIER
    return found ^ found >> Word(32)


@part
def is_same(words: NDArray[np.uint64], start: int, others: NDArray[np.uint64], other: int, size: int) -> bool:
    """Whether `size` bytes, one at least, are the same; eight bytes stand before either end."""
    for at in range(0, size - 7, 8):
        if words[start + at] != others[other + at]:
            return False
    last = min(8, size)
    return bool(last_characters(words[start + size - 8], last) == last_characters(others[other + size - 8], last))


@compiled(NUMBER, WORDS, PLACES, PLACES, PLACES, WORDS, PLACES, PLACES, UNSIGNED, FLAGS)
def _find(
    words: NDArray[np.uint64],
    starts: Places,
    ends: Places,
    slots: Places,
    known: NDArray[np.uint64],
    known_starts: Places,
    known_ends: Places,
    seed: Word,
    found: Mask,
) -> int:
    """Marks those that are known, and returns how many are not; a start below 0 is of none."""
    mask, unknown = Word(len(slots) - 1), 0
    for i in range(len(starts)):
        if starts[i] < 0:
            continue
        slot = hash_of(words, starts[i], ends[i], seed) & mask
        size = ends[i] - starts[i]
        while slots[slot] != _FREE and not found[i]:
            tail = slots[slot]
            start = known_starts[tail]
            found[i] = known_ends[tail] - start == size and is_same(words, starts[i], known, start, size)
            slot = (slot + Word(1)) & mask
        unknown += not found[i]
    return unknown


@compiled(NOTHING, WORDS, PLACES, PLACES, UNSIGNED, PLACES)
def _place(words: NDArray[np.uint64], starts: Places, ends: Places, seed: Word, slots: Places) -> None:
    """Puts tails, all different, into free slots, of which there are more than enough."""
    mask = Word(len(slots) - 1)
    for i in range(len(starts)):
        slot = hash_of(words, starts[i], ends[i], seed) & mask
        while slots[slot] != _FREE:
            slot = (slot + Word(1)) & mask
        slots[slot] = i


@dataclass(frozen=True, slots=True)
class _Known:
    """Good tails in one text, and an open-addressing table of their indices."""

    slots: Places
    words: NDArray[np.uint64]
    starts: Places
    ends: Places
    seed: Word  # so that nobody can choose tails that meet in one slot

    @classmethod
    def of(cls, tails: Iterable[bytes]) -> "_Known":
        padding, tails = bytes(8), list(tails)
        text = np.frombuffer(b"".join(padding + tail for tail in tails), np.uint8)
        sizes = np.fromiter(map(len, tails), np.int64, len(tails))
        ends, seed = (sizes + len(padding)).cumsum(), Word(secrets.randbits(64))
        slots = np.full(2 << len(tails).bit_length(), _FREE)
        known = cls(slots, words_of(text), ends - sizes, ends, seed)
        _place(known.words, known.starts, known.ends, seed, slots)
        return known

    def find(self, words: NDArray[np.uint64], starts: Places, ends: Places, found: Mask) -> int:
        """Marks those that are known, and returns how many are not."""
        return _find(words, starts, ends, self.slots, self.words, self.starts, self.ends, self.seed, found)


class Tails:
    """The tails that `is_good` says yes to. `is_good` is asked only of tails that came before."""

    def __init__(self, is_good: Callable[[bytes], bool]) -> None:
        self._is_good = is_good
        self._once: set[bytes] = set()
        self._verdicts: dict[bytes, bool] = {}
        self._known = _Known.of([])

    def find(self, text: Text, starts: Places, ends: Places) -> Mask:
        """Which of the tails are known to be good, those learnt here included.

        Each has one byte at least, and eight bytes of the text stand before its end; a start below 0 is of none.
        """
        found, words = np.zeros(len(starts), np.bool_), words_of(text)
        if self._known.find(words, starts, ends, found):
            unknown = (~found & (starts >= 0) & (ends - starts <= MAX_TAIL)).nonzero()[0][:_SAMPLE]
            places = zip(starts[unknown].tolist(), ends[unknown].tolist(), strict=True)
            if self._learn(text[start:end].tobytes() for start, end in places):
                self._known.find(words, starts, ends, found)
        return found

    def _learn(self, tails: Iterable[bytes]) -> bool:
        """True if there is a new good one."""
        again = []
        for tail in tails:
            if tail in self._once:
                again.append(tail)
            elif tail not in self._verdicts:
                self._once.add(tail)
        lessons = list(dict.fromkeys(again))[:LESSONS]
        if len(self._verdicts) + len(lessons) > MAX_TAILS:
            self._verdicts.clear()
        if len(self._once) > MAX_TAILS:
            self._once.clear()
        self._once.difference_update(lessons)
        verdicts = {tail: self._is_good(tail) for tail in lessons}
        self._verdicts |= verdicts
        if not any(verdicts.values()):
            return False
        self._known = _Known.of(tail for tail, is_good in list(self._verdicts.items()) if is_good)
        return True
