"""Rows that come in the order of the log, taken slice by slice."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.audit.flushed import DeadLetter

Rows = NDArray[Any]  # with a column `slice_block` and a column `arrived_at`


class CellsBySlice:
    """Cells slice by slice, in the order of the log."""

    def __init__(self, pieces: Iterable[Rows]) -> None:
        self._groups = _groups(pieces)
        self._next: tuple[tuple[int, int], list[Rows]] | None = None
        self._advance()

    def _advance(self) -> None:
        self._next = next(self._groups, None)

    def before(self, key: tuple[int, int]) -> Iterator[Rows]:
        """Rows of earlier slices that nobody asked for."""
        while self._next is not None and self._next[0] < key:
            yield from self._next[1]
            self._advance()

    def skip_before(self, key: tuple[int, int]) -> None:
        """Forget the rows of earlier slices."""
        for _ in self.before(key):
            pass

    def of(self, key: tuple[int, int]) -> Rows | None:
        """Rows of this slice; None if it has none."""
        if self._next is None or self._next[0] != key:
            return None
        rows = self._next[1]
        self._advance()
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def rest(self) -> Iterator[Rows]:
        """All rows that are left."""
        while self._next is not None:
            yield from self._next[1]
            self._advance()


def _groups(pieces: Iterable[Rows]) -> Iterator[tuple[tuple[int, int], list[Rows]]]:
    """The rows of each slice, in as many parts as they were read in."""
    open_: tuple[tuple[int, int], list[Rows]] | None = None
    for piece in pieces:
        blocks, times = piece["slice_block"], piece["arrived_at"]
        begins = np.flatnonzero((blocks[1:] != blocks[:-1]) | (times[1:] != times[:-1])) + 1
        for rows in np.split(piece, begins):
            key = int(rows["slice_block"][0]), int(rows["arrived_at"][0])
            if open_ is not None and open_[0] == key:
                open_[1].append(rows)
                continue
            if open_ is not None:
                yield open_
            open_ = key, [rows]
    if open_ is not None:
        yield open_


class LettersByOffset:
    """Dead letters in the order of the log."""

    def __init__(self, letters: Iterable[DeadLetter]) -> None:
        self._letters = iter(letters)
        self._next = next(self._letters, None)

    def before(self, offset: int) -> list[DeadLetter]:
        """The letters below `offset` that were not asked for yet."""
        found = []
        while self._next is not None and self._next.offset < offset:
            found.append(self._next)
            self._next = next(self._letters, None)
        return found

    def skip_before(self, offset: int) -> None:
        """Forget the letters below `offset`."""
        self.before(offset)
