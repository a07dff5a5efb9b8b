"""Loops over columns as machine code: numba compiles these functions, which stay plain Python.

A loop that a chunk needs, and that numpy could only express in many passes, costs a record nanoseconds this way. Whole
functions say which types they take, and are compiled as their module is imported: some seconds once, then numba's cache
has them (beside the source, or in the user's cache folder; `NUMBA_CACHE_DIR` names another one). Nothing is compiled
while records wait.

Every index is checked: one outside of its array raises IndexError, as in Python. That cost nothing that could be seen.
`NUMBA_DISABLE_JIT=1` runs the same functions as Python, for a debugger.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "boundscheck": True, "error_model": "numpy"}

NOTHING: Final = types.void
NUMBER: Final = types.int64
UNSIGNED: Final = types.uint64
FLAGS: Final = types.Array(types.bool_, 1, "C")
PLACES: Final = types.Array(types.int64, 1, "C")
UNSIGNEDS: Final = types.Array(types.uint64, 1, "C")
PAIRS: Final = types.Array(types.uint64, 2, "C")  # shape (n, 2)
PAIRS_READ: Final = types.Array(types.uint64, 2, "C", readonly=True)
SLOTS: Final = types.Array(types.uint32, 1, "C")
TABLE: Final = types.Array(types.int64, 2, "C")
BYTES: Final = types.Array(types.uint8, 1, "C", readonly=True)
WORDS: Final = types.Array(types.uint64, 1, "A", readonly=True, aligned=False)  # what `words_of` returns


def compiled(returns: types.Type, *takes: types.Type) -> Callable[[F], F]:
    """Compile a function of these types. An array that is only read may be declared read-only: it takes both kinds.

    Results in columns go into arrays that are passed in: to return an array costs a call 15 us.
    """

    def compile(function: F) -> F:
        signature = returns(*takes)
        try:
            return cast(F, numba.njit(signature, cache=True, **_OPTIONS)(function))
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            return cast(F, numba.njit(signature, **_OPTIONS)(function))  # nowhere to write: compiled at each start

    return compile


def part(function: F) -> F:
    """A function that only compiled ones call; it becomes a part of each."""
    return cast(F, numba.njit(**_OPTIONS)(function))


def words_of(text: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The eight bytes from each place of a text on, as one little-endian number; no bytes are copied."""
    return np.ndarray((max(0, len(text) - 7),), "<u8", text, strides=(1,))


# Eight ASCII characters at once, as one little-endian number of 64 bits: SWAR (SIMD within a register).
#
# The tests add to each byte what lifts a wrong one to 128 or above. A byte that is there already says that its word is
# wrong, whatever it carries into the next one. The sums join neighbours: two characters, then four, then eight.

Word = np.uint64
_HIGH: Final = Word(0x8080808080808080)
_LOW: Final = Word(0x0F0F0F0F0F0F0F0F)
_ONES: Final = Word(0x0101010101010101)


@part
def not_decimal(word: Word) -> Word:
    """The high bit of each character that is no digit."""
    digit = (word ^ Word(0x3030303030303030)) & Word(0x7F7F7F7F7F7F7F7F)
    return (digit + Word(0x7676767676767676) | word) & _HIGH  # 9 + 0x76 is 0x7f


@part
def not_hexadecimal(word: Word) -> Word:
    """Not 0 if one of the characters is no hexadecimal digit, of either case."""
    digit = word ^ Word(0x3030303030303030)
    letter = (word | Word(0x2020202020202020)) ^ Word(0x6060606060606060)  # 1 to 6
    not_letter = (letter + Word(0x7979797979797979)) | ~(letter + Word(0x7F7F7F7F7F7F7F7F))
    return ((digit + Word(0x7676767676767676)) & not_letter | word) & _HIGH


@part
def decimal(word: Word) -> Word:
    """The number that eight digits say; characters of zero bytes are zeros."""
    word = word & _LOW
    word = (word * Word(10) + (word >> Word(8))) & Word(0x00FF00FF00FF00FF)
    word = (word * Word(100) + (word >> Word(16))) & Word(0x0000FFFF0000FFFF)
    return (word * Word(10_000) + (word >> Word(32))) & Word(0xFFFFFFFF)


@part
def hexadecimal(word: Word) -> Word:
    """The 32 bits that eight hexadecimal digits say."""
    word = (word & _LOW) + ((word >> Word(6)) & _ONES) * Word(9)  # letters have bit 6
    word = (word << Word(4) | word >> Word(8)) & Word(0x00FF00FF00FF00FF)
    word = (word << Word(8) | word >> Word(16)) & Word(0x0000FFFF0000FFFF)
    return (word << Word(16) | word >> Word(32)) & Word(0xFFFFFFFF)


@part
def characters_before(wrong: Word) -> np.int64:
    """How many characters stand before the first high bit of `wrong`, which has one."""
    below = (wrong & (~wrong + Word(1))) - Word(1)
    return np.int64((below & _ONES) * _ONES >> Word(56)) - 1


@part
def first_characters(word: Word, count: np.int64) -> Word:
    """The first `count` characters, 1 to 8, behind zero bytes: as `decimal` takes fewer than eight digits."""
    return word << Word(64 - 8 * count)


@part
def last_characters(word: Word, count: int) -> Word:
    """The last `count` characters, 1 to 8, with zero bytes behind them."""
    return word >> Word(64 - 8 * count)
