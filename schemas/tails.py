"""What stands behind the head of values that are written alike (`schemas.layout`): learnt once, then known by sight.

Tails are compared as words of eight bytes, zeros behind their end. A hash names the one known tail that may be the
same; that it is the same, the words and the length say.
"""

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Mask, Places, Text, windows

MAX_TAIL: Final = 512  # bytes
MAX_TAILS: Final = 4_096  # of a width, refused ones included; then all are forgotten, for apps and experiments change
LESSONS: Final = 16  # tails that a run may teach: each costs as much as reading about 50 values
_SAMPLE: Final = 256  # unknown tails of a run that are looked at
_WIDTHS: Final = (64, 128, 256, MAX_TAIL)  # so that a long tail makes only long ones dearer


class Tails:
    """The tails that `is_good` says yes to. `is_good` is asked only of tails that a run holds more than once."""

    def __init__(self, is_good: Callable[[bytes], bool]) -> None:
        self._by_width = [_Known(width, is_good) for width in _WIDTHS]

    def find(self, text: Text, places: Places, lengths: Places) -> Mask:
        """Which of the tails are known to be good, the new ones of this run included; none without a byte is."""
        found = np.zeros(len(places), np.bool_)
        shortest = 1
        for known in self._by_width:
            rows = np.flatnonzero((lengths >= shortest) & (lengths <= known.width))
            if len(rows):
                found[rows] = known.find_or_learn(text, places[rows], lengths[rows])
            shortest = known.width + 1
        return found


class _Known:
    def __init__(self, width: int, is_good: Callable[[bytes], bool]) -> None:
        self.width = width
        self._is_good = is_good
        self._verdicts: dict[bytes, bool] = {}
        self._factors = np.random.default_rng(width).integers(2**64, size=width // 8, dtype=np.uint64)
        self._columns = self._ordered()

    def find_or_learn(self, text: Text, places: Places, lengths: Places) -> Mask:
        found = self._find(text, places, lengths)
        unknown = np.flatnonzero(~found)
        if len(unknown) > 1 and self._learn(text, places[unknown[:_SAMPLE]], lengths[unknown[:_SAMPLE]]):
            found[unknown] = self._find(text, places[unknown], lengths[unknown])
        return found

    def _find(self, text: Text, places: Places, lengths: Places) -> Mask:
        words = windows(text, places, self.width).view("<u8")
        words &= _first_bytes(self.width).take(lengths, axis=0)
        known_hashes, known_words, known_lengths = self._columns  # at once: another thread may learn meanwhile
        same = known_hashes.searchsorted(words @ self._factors)
        same[same == len(known_hashes)] = 0
        equal = known_words.take(same, axis=0) == words
        found: Mask = known_lengths[same] == lengths
        return found if equal.all() else found & equal.all(axis=1)

    def _learn(self, text: Text, places: Places, lengths: Places) -> bool:
        """True if there is a new good one."""
        counts = Counter(
            text[place : place + length].tobytes()
            for place, length in zip(places.tolist(), lengths.tolist(), strict=True)
        )
        new = [tail for tail, count in counts.most_common() if count > 1 and tail not in self._verdicts][:LESSONS]
        if len(self._verdicts) + len(new) > MAX_TAILS:
            self._verdicts.clear()
        verdicts = {tail: self._is_good(tail) for tail in new}
        self._verdicts |= verdicts
        self._columns = self._ordered()
        return any(verdicts.values())

    def _ordered(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64], Places]:
        """Hashes, words and lengths of the good ones by hash; an empty one, which no tail is, so that there is one."""
        good = [b""] + [tail for tail, is_good in self._verdicts.items() if is_good]
        words = np.array([tail.ljust(self.width, b"\0") for tail in good]).view("<u8").reshape(-1, self.width // 8)
        hashes = words @ self._factors
        order = hashes.argsort()
        return hashes[order], words[order], np.array([len(tail) for tail in good])[order]


@cache
def _first_bytes(width: int) -> NDArray[np.uint64]:
    """Row n leaves the first n bytes of `width`."""
    return (np.tri(width + 1, width, -1, np.uint8) * np.uint8(255)).view("<u8")
