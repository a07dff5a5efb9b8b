"""The loop: values of a chunk to columns, in one pass, whatever the order of their fields, the white space between
them, and what else they hold.

It accepts only what the models accept, and leaves what it does not know to be valid to them: an escape in the name or
the value of a field of the contract (labels have a way of their own, `schemas.decoding.labels`), `-0`, names that occur
twice of which the first value is odd.

Words are read at places before the end of a value, or up to REACH bytes behind it. No such byte counts: a `,` or `}`
that lies before the end must follow each member. The last value of a text is read from a copy with room behind it.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.ids import (
    BYTE,
    LEFT,
    QUOTE,
    UUID_LENGTH,
    Words,
    characters_before,
    identifier,
    unsigned,
    uuid,
)
from pintally.schemas.decoding.jit import (
    FLAGS,
    NUMBER,
    NUMBERS,
    PAIRS,
    PLACES,
    ROWS,
    UNSIGNEDS,
    WORDS,
    Word,
    compiled,
    inlined,
    named,
)
from pintally.schemas.decoding.json_syntax import (
    BACKSLASH,
    CLOSE,
    COMMA,
    FOUR,
    NULL,
    OPEN,
    colon,
    skipped,
    space,
    special,
    special_character,
)
from pintally.schemas.decoding.labels import PLACE, TABLE_TYPE, UNKNOWN, Table, label
from pintally.schemas.events import MAX_EXPERIMENTS, MAX_OCCURRED_AT
from pintally.schemas.json_text import MAX_BYTES

REACH: Final = 96  # bytes
SHORTEST: Final = 96  # bytes of an event: its names and its event id take more
# The fields of the contract. The first three are rows of Columns.numbers, the first five are required.
PIN_ID, USER_ID, OCCURRED_AT, _EVENT_ID, _ACTION, _SURFACE, _PLATFORM, _EXPERIMENTS, _OTHER = range(9)
SURFACE, PLATFORM = 0, 1  # rows of Columns.labels
_REQUIRED: Final = 0b11111

# Names with their closing quote, as far as a word goes; of the longer ones the last eight characters too.
_PIN_ID_NAME: Final = Word(int.from_bytes(b'pin_id"', "little"))
_ACTION_NAME: Final = Word(int.from_bytes(b'action"', "little"))
_USER_ID_NAME: Final = Word(int.from_bytes(b'user_id"', "little"))
_SURFACE_NAME: Final = Word(int.from_bytes(b'surface"', "little"))
_EVENT_ID_NAME: Final = Word(int.from_bytes(b"event_id", "little"))
_PLATFORM_NAME: Final = Word(int.from_bytes(b"platform", "little"))
_OCCURRED: Final = Word(int.from_bytes(b"occurred", "little"))
_RRED_AT: Final = Word(int.from_bytes(b'rred_at"', "little"))
_EXPERIME: Final = Word(int.from_bytes(b"experime", "little"))
_RIMENTS: Final = Word(int.from_bytes(b'riments"', "little"))
_U00: Final = Word(int.from_bytes(b"\\u00", "little"))  # then a digit up to 7 makes it ASCII
_SEVEN: Final = Word(2**56 - 1)  # characters of a word
_HALF: Final = Word(32)


class Columns(NamedTuple):
    """What is filled, a place a value."""

    valid: NDArray[np.bool_]  # False: left to the models
    numbers: NDArray[np.uint64]  # shape (3, n): pin_id, user_id, occurred_at
    event_id: NDArray[np.uint64]  # shape (n, 2)
    labels: NDArray[np.uint32]  # shape (2, n): surface, platform
    offsets: NDArray[np.int64]  # shape (n + 1,): experiments of value i are pairs offsets[i] to offsets[i + 1]

    @classmethod
    def of(cls, n: int) -> "Columns":
        """Columns for n values."""
        numbers, event_id = np.empty((3, n), np.uint64), np.empty((n, 2), np.uint64)
        return cls(np.empty(n, np.bool_), numbers, event_id, np.empty((2, n), np.uint32), np.zeros(n + 1, np.int64))


class Literal(NamedTuple):
    """The text that the value of `action` must be, with its quotes, in words."""

    words: NDArray[np.uint64]
    masks: NDArray[np.uint64]  # which bytes of them count
    size: int

    @classmethod
    def of(cls, text: str) -> "Literal":
        """The words of a text that JSON writes as it is."""
        quoted = f'"{text}"'.encode()
        assert len(quoted) <= REACH // 2, "the loop may look for it behind the end of a value"
        padding = bytes(-len(quoted) % 8)
        mask = b"\xff" * len(quoted) + padding
        return cls(np.frombuffer(quoted + padding, "<u8").copy(), np.frombuffer(mask, "<u8").copy(), len(quoted))


_COLUMNS: Final = named(Columns, FLAGS, ROWS, PAIRS, NUMBERS, PLACES)
_LITERAL: Final = named(Literal, UNSIGNEDS, UNSIGNEDS, NUMBER)


# Names


@inlined
def _field(words: Words, at: int) -> tuple[int, int]:
    """Which field has the name that begins there, and the place behind its closing quote.

    The same place if none has.
    """
    word = words[at]
    if word & _SEVEN == _PIN_ID_NAME:
        return PIN_ID, at + 7
    if word == _USER_ID_NAME:
        return USER_ID, at + 8
    if word == _EVENT_ID_NAME and words[at + 8] & BYTE == QUOTE:
        return _EVENT_ID, at + 9
    if word & _SEVEN == _ACTION_NAME:
        return _ACTION, at + 7
    if word == _OCCURRED and words[at + 4] == _RRED_AT:
        return OCCURRED_AT, at + 12
    if word == _SURFACE_NAME:
        return _SURFACE, at + 8
    if word == _PLATFORM_NAME and words[at + 8] & BYTE == QUOTE:
        return _PLATFORM, at + 9
    if word == _EXPERIME and words[at + 4] == _RIMENTS:
        return _EXPERIMENTS, at + 12
    return _OTHER, at


@inlined
def _other_name(words: Words, at: int, end: int) -> int:
    """The place behind a name that is none of the contract's, from its first character on.

    A name with an escape of an ASCII character may be one that counts. No name of the contract holds another character.
    """
    while at < end:
        found = special(words[at])
        if not found:
            at += 8
            continue
        at += characters_before(found)
        byte = words[at] & BYTE
        if byte == QUOTE:
            return at + 1
        if byte == BACKSLASH and words[at] & FOUR == _U00 and words[at] >> _HALF & BYTE <= Word(ord("7")):
            return LEFT
        at = special_character(words, at)
        if at < 0:
            return LEFT
    return LEFT


# Values of fields: the place behind them


@inlined
def _read_event_id(words: Words, at: int, row: int, columns: Columns) -> int:
    if words[at] & BYTE != QUOTE or words[at + 1 + UUID_LENGTH] & BYTE != QUOTE:
        return LEFT
    is_uuid, upper, lower = uuid(words, at + 1)
    columns.event_id[row, 0], columns.event_id[row, 1] = upper, lower
    return at + 1 + UUID_LENGTH + 1 if is_uuid else LEFT


@inlined
def _read_action(words: Words, at: int, action: Literal) -> int:
    for place in range(len(action.words)):
        if words[at + 8 * place] & action.masks[place] != action.words[place]:
            return LEFT
    return at + action.size


@inlined
def _read_id(words: Words, at: int, row: int, columns: Columns, column: int) -> int:
    at, columns.numbers[column, row] = identifier(words, at)
    return at


@inlined
def _read_occurred_at(words: Words, at: int, row: int, columns: Columns) -> int:
    digits, number = unsigned(words, at)
    columns.numbers[OCCURRED_AT, row] = number
    return at + digits if digits and number < Word(MAX_OCCURRED_AT) else LEFT


@inlined
def _read_label(
    words: Words, at: int, end: int, row: int, columns: Columns, column: int, table: Table, stop: NDArray[np.int64]
) -> int:
    if words[at] & FOUR == NULL:
        columns.labels[column, row] = np.uint32(0)
        return at + 4
    at, number = label(words, at, end, table, stop)
    columns.labels[column, row] = np.uint32(number)
    return at


@inlined
def _read_experiments(
    words: Words, at: int, end: int, pairs: NDArray[np.uint64], first: int, table: Table, stop: NDArray[np.int64]
) -> tuple[int, int]:
    """Also where their pairs end, which begin at `first`. There is room for all of them."""
    if words[at] & FOUR == NULL:
        return at + 4, first
    if words[at] & BYTE != OPEN:
        return LEFT, first
    at, last, seen = space(words, at + 1, end), first, Word(0)
    if words[at] & BYTE == CLOSE:
        return at + 1, first
    while at < end:
        at, name = label(words, at, end, table, stop)
        if at < 0:
            return at, first
        at = colon(words, at, end)
        if at < 0:
            return LEFT, first
        at, arm = label(words, at, end, table, stop)
        if at < 0:
            return at, first
        place, bit = last, Word(1) << (name & Word(63))
        if seen & bit:  # perhaps a name that is there already: the last one counts
            for other in range(first, last):
                if pairs[other] >> _HALF == name:
                    place = other
        seen |= bit
        if place == first + MAX_EXPERIMENTS:
            return LEFT, first
        pairs[place] = name << _HALF | arm
        last = max(last, place + 1)
        at = space(words, at, end)
        byte = words[at] & BYTE
        if byte == CLOSE:
            return at + 1, last
        if byte != COMMA:
            return LEFT, first
        at = space(words, at + 1, end)
    return LEFT, first


# Events


@inlined
def _read_event(
    words: Words,
    at: int,
    end: int,
    action: Literal,
    row: int,
    columns: Columns,
    pairs: NDArray[np.uint64],
    first: int,
    table: Table,
    stop: NDArray[np.int64],
) -> int:
    """Where the pairs of a valid event end, which begin at `first`; LEFT or UNKNOWN if it is not known to be valid."""
    has, last = 0, first
    columns.labels[SURFACE, row] = columns.labels[PLATFORM, row] = np.uint32(0)
    at = space(words, at, end)
    if words[at] & BYTE != OPEN:
        return LEFT
    at = space(words, at + 1, end)
    while at < end:
        if words[at] & BYTE != QUOTE:
            return LEFT
        field, at = _field(words, at + 1)
        if field == _OTHER:
            at = _other_name(words, at, end)
        at = colon(words, at, end)
        if at < 0:
            return LEFT
        if field <= USER_ID:
            at = _read_id(words, at, row, columns, field)
        elif field == _EVENT_ID:
            at = _read_event_id(words, at, row, columns)
        elif field == _ACTION:
            at = _read_action(words, at, action)
        elif field == OCCURRED_AT:
            at = _read_occurred_at(words, at, row, columns)
        elif field <= _PLATFORM:
            at = _read_label(words, at, end, row, columns, field - _SURFACE, table, stop)
        elif field == _EXPERIMENTS:
            at, last = _read_experiments(words, at, end, pairs, first, table, stop)
        else:
            at = skipped(words, at, end)
        if at < 0:
            return at
        has |= 1 << field
        at = space(words, at, end)
        byte = words[at] & BYTE
        if byte == CLOSE:
            is_event = has & _REQUIRED == _REQUIRED and at < end and space(words, at + 1, end) == end
            return last if is_event else LEFT
        if byte != COMMA:
            return LEFT
        at = space(words, at + 1, end)
    return LEFT


@inlined
def _copy(words: Words, start: int, size: int, spare: NDArray[np.uint64]) -> None:
    """Copy a value of eight bytes or more to the beginning of `spare`."""
    whole, rest = size >> 3, size & 7
    for place in range(whole):
        spare[place] = words[start + 8 * place]
    if rest:
        spare[whole] = words[start + size - 8] >> Word(64 - 8 * rest)


@compiled(
    NUMBER, WORDS, PLACES, PLACES, NUMBER, _LITERAL, _COLUMNS, UNSIGNEDS, TABLE_TYPE, UNSIGNEDS, WORDS, PLACES,
    allocates=False,
)  # fmt: skip
def read_events(
    words: Words,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
    row: int,
    action: Literal,
    columns: Columns,
    pairs: NDArray[np.uint64],
    table: Table,
    spare: NDArray[np.uint64],
    spare_words: Words,
    stop: NDArray[np.int64],
) -> int:
    """Read values from `row` on. Returns the row of the first that is not read, for one of two reasons: there is no
    room for its experiments in `pairs`; or a label in it, written with escapes, may be learnt, as `stop` says.
    """
    first = columns.offsets[row]
    for i in range(row, len(starts)):
        if first + MAX_EXPERIMENTS > len(pairs):
            return i
        text, start, size, last = words, starts[i], lengths[i], LEFT
        if size >= SHORTEST and start + size + REACH > len(words) + 7 and size + REACH <= 8 * len(spare):
            _copy(words, start, size, spare)
            text, start = spare_words, 0
        if SHORTEST <= size <= MAX_BYTES and start + size + REACH <= len(text) + 7:
            last = _read_event(text, start, start + size, action, i, columns, pairs, first, table, stop)
        if last == UNKNOWN:
            stop[PLACE] -= start
            return i
        columns.valid[i] = last >= 0
        if last >= 0:
            first = last
        else:
            columns.numbers[PIN_ID, i] = columns.numbers[USER_ID, i] = columns.numbers[OCCURRED_AT, i] = Word(0)
            columns.event_id[i, 0] = columns.event_id[i, 1] = Word(0)
            columns.labels[SURFACE, i] = columns.labels[PLATFORM, i] = np.uint32(0)
        columns.offsets[i + 1] = first
    return len(starts)
