"""Values written alike: a head of the required fields, in the order and with the separators that producers write, and
a tail, which is all behind the 13 digits of `occurred_at`.

Heads are read by a compiled loop. They may hold less than the contract allows: ids as strings, times of 13 digits.
Where a head ends, JSON stands behind a number in the event's object, whatever the fields were. So whether a tail is
good depends on the tail alone, but for one thing: it may repeat a name of the head, and the last one counts. Tails are
therefore learnt from the models: `validate` must accept one behind two heads that differ in every field, and return
each head's own fields. That refuses tails that begin with a digit too: 14 digits are no time before 2100. The size of a
value is far within its bounds.

Values that do not fit are not judged here. No byte is read that is not the value's own.
"""

from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.decoding.jit import (
    FLAGS,
    NOTHING,
    PAIRS,
    PLACES,
    UNSIGNEDS,
    WORDS,
    Word,
    characters_before,
    compiled,
    decimal,
    first_characters,
    hexadecimal,
    not_decimal,
    not_hexadecimal,
    part,
    words_of,
)
from pintally.schemas.decoding.suffix import Tails
from pintally.schemas.decoding.values import Decoded, Values
from pintally.schemas.events import MAX_ID, MAX_OCCURRED_AT, ContractError, validate

SEPARATORS: Final = ((",", ":"), (", ", ": "))  # (comma, colon): without spaces, and as Python's json.dumps writes
_UUID: Final = 36  # characters
_TIME: Final = 13  # digits
_EARLIEST: Final = 10 ** (_TIME - 1)
_ID_ROOM: Final = 24  # characters that are looked at where an id is; what must follow it takes 30 or more
_UPPER_OF_MAX, _LOWER_OF_MAX = divmod(MAX_ID, 10**4)  # its first 16 digits, and the last 4
_POWERS: Final = np.array([10**digits for digits in range(9)], np.uint64)
_HEADS: Final = (  # they differ in every field: what a tail says instead is wrong for one of them
    (UUID(int=1), 2, 3, 1_000_000_000_004),
    (UUID(int=5), 6, 7, 1_000_000_000_008),
)
_Words = NDArray[np.uint64]


@part
def _says(words: _Words, at: int, literals: _Words, start: int, end: int) -> bool:
    """Whether a literal, of eight bytes or more, stands there."""
    different = words[at + end - start - 8] ^ literals[end - 8]
    for place in range(start, end - 8, 8):
        different |= words[at + place - start] ^ literals[place]
    return bool(different == 0)


@part
def _id(words: _Words, at: int) -> tuple[np.int64, Word]:
    """How many digits the id there has, and the id; no digits if it is none of the contract's."""
    digits, number = np.int64(0), Word(0)
    for place in range(0, _ID_ROOM, 8):
        word = words[at + place]
        wrong = not_decimal(word)
        count = characters_before(wrong) if wrong else np.int64(8)
        more = decimal(first_characters(word, count)) if count else Word(0)
        if place == 16 and (count > 4 or (count == 4 and _exceeds(number, more))):
            return np.int64(0), number
        number = number * _POWERS[count] + more
        digits += count
        if count < 8:
            break
    if digits > 1 and words[at] & Word(0xFF) == ord("0"):
        return np.int64(0), number
    return digits, number


@part
def _exceeds(upper: Word, lower: Word) -> bool:
    """Whether a number of 20 digits, its first 16 and its last 4, is no unsigned 64-bit integer."""
    return bool(upper > Word(_UPPER_OF_MAX) or (upper == Word(_UPPER_OF_MAX) and lower > Word(_LOWER_OF_MAX)))


@part
def _uuid(words: _Words, at: int) -> tuple[bool, Word, Word]:
    """Whether a UUID stands there, and its halves. Groups of four digits are put together to eight."""
    upper, lower = Word(0xFFFFFFFF), Word(32)
    first, last = words[at], words[at + 28]
    second = words[at + 9] & upper | words[at + 14] << lower
    third = words[at + 19] & upper | words[at + 24] << lower
    wrong = not_hexadecimal(first) | not_hexadecimal(second) | not_hexadecimal(third) | not_hexadecimal(last)
    for hyphen in (8, 13, 18, 23):
        wrong |= words[at + hyphen] & Word(0xFF) ^ Word(ord("-"))
    halves = hexadecimal(first) << lower | hexadecimal(second), hexadecimal(third) << lower | hexadecimal(last)
    return bool(wrong == 0), halves[0], halves[1]


@part
def _time(words: _Words, at: int) -> np.int64:
    """The 13 digits there; 0 if they are no time that a head may hold."""
    first, last = words[at], words[at + 5]
    if not_decimal(first) | not_decimal(last):
        return np.int64(0)
    time = np.int64(decimal(first) // Word(1_000)) * 10**8 + np.int64(decimal(last))
    return time if _EARLIEST <= time < MAX_OCCURRED_AT else np.int64(0)


@compiled(NOTHING, WORDS, PLACES, PLACES, WORDS, PLACES, FLAGS, UNSIGNEDS, PLACES, PAIRS, PLACES)
def _read_heads(
    words: _Words,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    literals: _Words,
    ends: NDArray[np.int64],
    valid: NDArray[np.bool_],
    pin_id: NDArray[np.uint64],
    occurred_at: NDArray[np.int64],
    event_id: NDArray[np.uint64],
    tails: NDArray[np.int64],
) -> None:
    """Reads the heads of values that are not known to be valid, and says where their tails begin; -1 if there is none.

    0.1 us an event, where msgspec and the tests of what it read take 1.3.
    """
    shortest = ends[3] + _UUID + 2 + _TIME + 1  # ids of one digit, and a tail of one byte
    for i in range(len(starts)):
        tails[i] = -1
        start, end = starts[i], starts[i] + lengths[i]
        if valid[i] or lengths[i] < shortest or not _says(words, start, literals, 0, ends[0]):
            continue
        at = start + ends[0]
        is_uuid, upper, lower = _uuid(words, at)
        at += _UUID
        if not is_uuid or not _says(words, at, literals, ends[0], ends[1]):
            continue
        at += ends[1] - ends[0]
        digits, pin = _id(words, at)
        at += digits
        if not digits or at + ends[2] - ends[1] + _ID_ROOM > end or not _says(words, at, literals, ends[1], ends[2]):
            continue
        at += ends[2] - ends[1]
        digits, _ = _id(words, at)
        at += digits
        if not digits or at + ends[3] - ends[2] + _TIME >= end or not _says(words, at, literals, ends[2], ends[3]):
            continue
        at += ends[3] - ends[2]
        time = _time(words, at)
        at += _TIME
        if time:
            pin_id[i], occurred_at[i], event_id[i, 0], event_id[i, 1], tails[i] = pin, time, upper, lower, at


class Layout:
    """One way to write the events of `action`: with the `comma` and the `colon` of a JSON writer."""

    def __init__(self, action: Action, comma: str, colon: str) -> None:
        self._action = action
        self._literals = (
            f'{{"event_id"{colon}"'.encode(),
            f'"{comma}"action"{colon}"{action.label}"{comma}"pin_id"{colon}"'.encode(),
            f'"{comma}"user_id"{colon}"'.encode(),
            f'"{comma}"occurred_at"{colon}'.encode(),
        )
        self._words = words_of(np.frombuffer(b"".join(self._literals), np.uint8))
        self._ends = np.cumsum([len(literal) for literal in self._literals])
        self._tails = Tails(self._is_good)

    def read(self, values: Values, decoded: Decoded) -> bool:
        """Reads those that fit, of all that are not known to be valid, and marks them valid; True if all are now.

        Columns of what is not valid may be filled all the same.
        """
        tails, words = np.empty(len(values), np.int64), words_of(values.text)
        _read_heads(
            words, values.starts, values.lengths, self._words, self._ends,
            decoded.valid, decoded.pin_id, decoded.occurred_at, decoded.event_id, tails,
        )  # fmt: skip
        valid = decoded.valid
        np.logical_or(valid, self._tails.find(values.text, tails, values.starts + values.lengths), out=valid)
        return bool(valid.all())

    def _is_good(self, tail: bytes) -> bool:
        """True if events with this tail are valid, and stay what their heads say."""
        for head in _HEADS:
            texts = [str(each).encode() for each in head]
            start = b"".join(part for pair in zip(self._literals, texts, strict=True) for part in pair)
            try:
                event = validate(start + tail, self._action)
            except ContractError:
                return False
            if (event.event_id, event.pin_id, event.user_id, event.occurred_at) != head:
                return False
        return True
