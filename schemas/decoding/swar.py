"""Eight ASCII characters at once, as one little-endian number of 64 bits (`schemas.decoding.jit.words_of`).

The tests add to each byte what lifts a wrong one to 128 or above; a byte that is there already tells its word is wrong,
whatever it carries into the next one. The sums join neighbours: two characters, then four, then eight.
"""

from typing import Final

import numpy as np

from pintally.schemas.decoding.jit import part

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
