"""Numbers and UUIDs, eight characters at once, as one little-endian number: SWAR (SIMD within a register).

The tests add to each byte what lifts a wrong one to 128 or above. A byte that is there already says that its word is
wrong, whatever it carries into the next one. The sums join neighbours: two characters, then four, then eight.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.jit import Word, inlined
from pintally.schemas.events import MAX_ID

Words = NDArray[np.uint64]  # what `words_of` returns: the eight bytes from each place on

LEFT: Final = -1  # instead of a place: the value is left to the models
UUID_LENGTH: Final = 36  # characters
BYTE: Final = Word(0xFF)
QUOTE: Final = Word(ord('"'))
ZERO: Final = Word(ord("0"))
MINUS: Final = Word(ord("-"))
HIGH: Final = Word(0x8080808080808080)
ONES: Final = Word(0x0101010101010101)
_LOW: Final = Word(0x0F0F0F0F0F0F0F0F)
_UPPER_OF_MAX, _LOWER_OF_MAX = divmod(MAX_ID, 10**4)  # its first 16 digits, and the last 4
_POWERS: Final = np.array([10**digits for digits in range(9)], np.uint64)


# Eight characters


@inlined
def not_decimal(word: Word) -> Word:
    """The high bit of each character that is no digit."""
    digit = (word ^ Word(0x3030303030303030)) & Word(0x7F7F7F7F7F7F7F7F)
    return (digit + Word(0x7676767676767676) | word) & HIGH  # 9 + 0x76 is 0x7f


@inlined
def not_hexadecimal(word: Word) -> Word:
    """Not 0 if one of the characters is no hexadecimal digit, of either case."""
    digit = word ^ Word(0x3030303030303030)
    letter = (word | Word(0x2020202020202020)) ^ Word(0x6060606060606060)  # 1 to 6
    not_letter = (letter + Word(0x7979797979797979)) | ~(letter + Word(0x7F7F7F7F7F7F7F7F))
    return ((digit + Word(0x7676767676767676)) & not_letter | word) & HIGH


@inlined
def characters_before(wrong: Word) -> int:
    """How many characters stand before the first high bit of `wrong`, which has one."""
    below = (wrong & (~wrong + Word(1))) - Word(1)
    return int(np.int64((below & ONES) * ONES >> Word(56))) - 1


@inlined
def _decimal(word: Word, count: int) -> Word:
    """The number that the first `count` digits say; 0 if there are none."""
    if count == 0:
        return Word(0)
    word = (word << Word(64 - 8 * count)) & _LOW
    word = (word * Word(10) + (word >> Word(8))) & Word(0x00FF00FF00FF00FF)
    word = (word * Word(100) + (word >> Word(16))) & Word(0x0000FFFF0000FFFF)
    return (word * Word(10_000) + (word >> Word(32))) & Word(0xFFFFFFFF)


@inlined
def _hexadecimal(word: Word) -> Word:
    """The 32 bits that eight hexadecimal digits say."""
    word = (word & _LOW) + ((word >> Word(6)) & ONES) * Word(9)  # letters have bit 6
    word = (word << Word(4) | word >> Word(8)) & Word(0x00FF00FF00FF00FF)
    word = (word << Word(8) | word >> Word(16)) & Word(0x0000FFFF0000FFFF)
    return (word << Word(16) | word >> Word(32)) & Word(0xFFFFFFFF)


# Ids


@inlined
def unsigned(words: Words, at: int) -> tuple[int, Word]:
    """How many digits stand there, and their number; no digits if the contract takes them for none of its integers."""
    digits, number = 0, Word(0)
    for place in range(0, 24, 8):
        word = words[at + place]
        wrong = not_decimal(word)
        count = characters_before(wrong) if wrong else 8
        more = _decimal(word, count)
        if place == 16 and (count > 4 or (count == 4 and _exceeds(number, more))):
            return 0, number
        number = number * _POWERS[count] + more
        digits += count
        if count < 8:
            break
    if digits > 1 and words[at] & BYTE == ZERO:
        return 0, number
    return digits, number


@inlined
def _exceeds(upper: Word, lower: Word) -> bool:
    """Whether a number of 20 digits, its first 16 and its last 4, is no unsigned 64-bit integer."""
    return bool(upper > Word(_UPPER_OF_MAX) or (upper == Word(_UPPER_OF_MAX) and lower > Word(_LOWER_OF_MAX)))


@inlined
def identifier(words: Words, at: int) -> tuple[int, Word]:
    """The place behind an id, written as a string or as an integer, and the id."""
    if words[at] & BYTE != QUOTE:
        digits, number = unsigned(words, at)
        return at + digits if digits else LEFT, number
    digits, number = unsigned(words, at + 1)
    at += digits + 1
    if not digits or words[at] & BYTE != QUOTE:
        return LEFT, number
    return at + 1, number


@inlined
def uuid(words: Words, at: int) -> tuple[bool, Word, Word]:
    """Whether a UUID stands there, and its halves. Groups of four digits are put together to eight."""
    upper, lower = Word(0xFFFFFFFF), Word(32)
    first, last = words[at], words[at + 28]
    second = words[at + 9] & upper | words[at + 14] << lower
    third = words[at + 19] & upper | words[at + 24] << lower
    wrong = not_hexadecimal(first) | not_hexadecimal(second) | not_hexadecimal(third) | not_hexadecimal(last)
    for hyphen in (8, 13, 18, 23):
        wrong |= words[at + hyphen] & BYTE ^ MINUS
    halves = _hexadecimal(first) << lower | _hexadecimal(second), _hexadecimal(third) << lower | _hexadecimal(last)
    return bool(wrong == Word(0)), halves[0], halves[1]
