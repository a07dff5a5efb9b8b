"""The grammar of JSON (RFC 8259, rules E2 to E4 of the contract) over the words of a text: white space, strings, and
values that are skipped.

Each function takes the place where something should begin, and returns the place behind it; LEFT where it is not there.
`end` is where the value of the record ends. A place that a function returns may lie a little behind it: what follows
looks for its own first character before `end`.
"""

from typing import Final

from pintally.schemas.decoding.ids import (
    BYTE,
    HIGH,
    LEFT,
    MINUS,
    ONES,
    QUOTE,
    ZERO,
    Words,
    characters_before,
    not_decimal,
    not_hexadecimal,
)
from pintally.schemas.decoding.jit import Word, inlined
from pintally.schemas.json_text import MAX_DEPTH

BACKSLASH: Final = Word(ord("\\"))
SPACE: Final = Word(ord(" "))
COMMA: Final = Word(ord(","))
OPEN: Final = Word(ord("{"))
CLOSE: Final = Word(ord("}"))
ASCII: Final = Word(0x7F)  # the last one
FOUR: Final = Word(2**32 - 1)  # characters of a word
NULL: Final = Word(int.from_bytes(b"null", "little"))
_TAB, _LINE_FEED, _RETURN, _COLON = Word(ord("\t")), Word(ord("\n")), Word(ord("\r")), Word(ord(":"))
_CLOSE_LIST, _PLUS, _POINT = Word(ord("]")), Word(ord("+")), Word(ord("."))
_OPEN_BIT: Final = Word(ord("[") ^ ord("{"))  # { has it, [ does not
_TRUE: Final = Word(int.from_bytes(b"true", "little"))
_FALSE: Final = Word(int.from_bytes(b"false", "little"))
_FIVE: Final = Word(2**40 - 1)
_QUOTES, _BACKSLASHES, _SPACES = ONES * QUOTE, ONES * BACKSLASH, ONES * SPACE


# White space and strings


@inlined
def space(words: Words, at: int, end: int) -> int:
    """The place of the first character from there on that is no white space."""
    byte = words[at] & BYTE
    while byte <= SPACE and at < end:
        if byte != SPACE and byte != _LINE_FEED and byte != _RETURN and byte != _TAB:
            return at
        at += 1
        byte = words[at] & BYTE
    return at


@inlined
def colon(words: Words, at: int, end: int) -> int:
    """The place of the value behind a name that ends there."""
    if at < 0:
        return LEFT
    at = space(words, at, end)
    if words[at] & BYTE != _COLON:
        return LEFT
    return space(words, at + 1, end)


@inlined
def special(word: Word) -> Word:
    """The high bit of the first character that is no plain one: a quote, a backslash, a control, or not ASCII.

    Bits behind the first one may be wrong.
    """
    quote, backslash = word ^ _QUOTES, word ^ _BACKSLASHES
    found = (quote - ONES) & ~quote | (backslash - ONES) & ~backslash | (word - _SPACES) & ~word | word
    return found & HIGH


@inlined
def wide_character(words: Words, at: int) -> int:
    """A character of more than one byte, in UTF-8: neither overlong, nor half a surrogate pair, nor beyond Unicode."""
    word = words[at]
    first, second = word & BYTE, word >> Word(8) & BYTE
    if first < Word(0xE0):
        if first < Word(0xC2) or second & Word(0xC0) != Word(0x80):
            return LEFT
        return at + 2
    if first < Word(0xF0):
        if word & Word(0xC0C000) != Word(0x808000):
            return LEFT
        if (first == Word(0xE0) and second < Word(0xA0)) or (first == Word(0xED) and second > Word(0x9F)):
            return LEFT
        return at + 3
    if first > Word(0xF4) or word & Word(0xC0C0C000) != Word(0x80808000):
        return LEFT
    if (first == Word(0xF0) and second < Word(0x90)) or (first == Word(0xF4) and second > Word(0x8F)):
        return LEFT
    return at + 4


@inlined
def escape(words: Words, at: int) -> int:
    """An escape, whose backslash stands there."""
    byte = words[at] >> Word(8) & BYTE
    if byte == Word(ord("u")):
        four = words[at] >> Word(16) & FOUR
        return LEFT if not_hexadecimal(four | four << Word(32)) else at + 6  # four digits twice make eight
    for good in (34, 92, 47, 98, 102, 110, 114, 116):  # "\/bfnrt
        if byte == Word(good):
            return at + 2
    return LEFT


@inlined
def special_character(words: Words, at: int) -> int:
    """The place behind an escape, or behind a character that is not ASCII."""
    byte = words[at] & BYTE
    if byte == BACKSLASH:
        return escape(words, at)
    return wide_character(words, at) if byte > ASCII else LEFT


@inlined
def string(words: Words, at: int, end: int) -> int:
    """A string behind its first quote."""
    while at < end:
        found = special(words[at])
        if not found:
            at += 8
            continue
        at += characters_before(found)
        if words[at] & BYTE == QUOTE:
            return at + 1
        at = special_character(words, at)
        if at < 0:
            return LEFT
    return LEFT


# Values that are skipped


@inlined
def _digits(words: Words, at: int, end: int) -> int:
    """Digits; the same place if there are none."""
    while at < end:
        wrong = not_decimal(words[at])
        if wrong:
            return at + characters_before(wrong)
        at += 8
    return at


@inlined
def _number(words: Words, at: int, end: int) -> int:
    """A number of any size."""
    if words[at] & BYTE == MINUS:
        at += 1
    behind = _digits(words, at, end)
    if behind == at or (words[at] & BYTE == ZERO and behind > at + 1):
        return LEFT
    at = behind
    if words[at] & BYTE == _POINT:
        behind = _digits(words, at + 1, end)
        if behind == at + 1:
            return LEFT
        at = behind
    if words[at] & Word(0xDF) == Word(ord("E")):
        at += 1
        sign = words[at] & BYTE
        if sign in (MINUS, _PLUS):
            at += 1
        behind = _digits(words, at, end)
        if behind == at:
            return LEFT
        at = behind
    return at


@inlined
def _scalar(words: Words, at: int, end: int) -> int:
    """A string, a number, null, true or false."""
    word = words[at]
    byte = word & BYTE
    if byte == QUOTE:
        return string(words, at + 1, end)
    if byte == MINUS or byte - ZERO <= Word(9):  # below "0" an unsigned number wraps round
        return _number(words, at, end)
    if word & FOUR == NULL or word & FOUR == _TRUE:
        return at + 4
    if word & _FIVE == _FALSE:
        return at + 5
    return LEFT


@inlined
def _name(words: Words, at: int, end: int) -> int:
    """A name in an object that is skipped, up to its value."""
    if words[at] & BYTE != QUOTE:
        return LEFT
    return colon(words, string(words, at + 1, end), end)


@inlined
def skipped(words: Words, at: int, end: int) -> int:
    """The value of a field that is ignored. The event is level 1."""
    depth, objects = 0, Word(0)  # what is open: a bit each, 1 for an object
    while at < end:
        if objects & Word(1):
            at = _name(words, at, end)
            if at < 0:
                return LEFT
        byte = words[at] & BYTE
        if byte | _OPEN_BIT == OPEN:
            depth += 1
            if depth == MAX_DEPTH:
                return LEFT
            objects = objects << Word(1) | Word(byte == OPEN)
            at = space(words, at + 1, end)
            if words[at] & BYTE != (CLOSE if objects & Word(1) else _CLOSE_LIST):
                continue
        else:
            at = _scalar(words, at, end)
            if at < 0 or depth == 0:
                return at
            at = space(words, at, end)
        while at < end:  # behind a value, or at the end of an empty array or object
            byte = words[at] & BYTE
            if byte == COMMA:
                at = space(words, at + 1, end)
                break
            if byte != (CLOSE if objects & Word(1) else _CLOSE_LIST):
                return LEFT
            depth -= 1
            objects >>= Word(1)
            at += 1
            if depth == 0:
                return at
            at = space(words, at, end)
    return LEFT
