"""Rows that come in the order of the log, taken slice by slice."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from pintally.audit.aggregates import CellRow
from pintally.audit.flushed import DeadLetter


class CellsBySlice:
    """Cells slice by slice, in the order of the log."""

    def __init__(self, rows: Iterable[CellRow]) -> None:
        self._groups = groupby(rows, key=lambda row: (row.slice_block, row.arrived_at))
        self._next: tuple[tuple[int, int], list[CellRow]] | None = None
        self._advance()

    def _advance(self) -> None:
        found = next(self._groups, None)
        self._next = None if found is None else (found[0], list(found[1]))

    def before(self, key: tuple[int, int]) -> Iterator[CellRow]:
        """Rows of earlier slices that nobody asked for."""
        while self._next is not None and self._next[0] < key:
            yield from self._next[1]
            self._advance()

    def skip_before(self, key: tuple[int, int]) -> None:
        """Forget the rows of earlier slices."""
        for _ in self.before(key):
            pass

    def of(self, key: tuple[int, int]) -> Sequence[CellRow]:
        """Rows of this slice."""
        if self._next is None or self._next[0] != key:
            return ()
        rows = self._next[1]
        self._advance()
        return rows

    def rest(self) -> Iterator[CellRow]:
        """All rows that are left."""
        while self._next is not None:
            yield from self._next[1]
            self._advance()


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
