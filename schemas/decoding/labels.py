"""Labels and their numbers: `surface`, `platform`, and the names and arms of `experiments` (E10, E11).

A label is numbered when it is first seen. Columns hold the numbers, so equal labels are equal numbers and no string is
made of a label until somebody asks for it. Numbers are of one table: a table only grows, and the decoder begins another
one when many labels are in it.

A label that is written with escapes, as `home\\/feed` or `\\u00e9`, is not resolved by the loop. The table also has
labels as they are written, each with the number of the label that it means. Such an entry is never equal to that of a
plain label of the same bytes: its key says how it is written. The models' own type of a label decides what is learnt.
"""

import secrets
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pintally.schemas.decoding.ids import BYTE, LEFT, QUOTE, Words, characters_before
from pintally.schemas.decoding.jit import (
    ROWS,
    UNSIGNED,
    UNSIGNEDS,
    WORDS,
    Word,
    called,
    compiled,
    inlined,
    named,
    words_of,
)
from pintally.schemas.decoding.json_syntax import ASCII, BACKSLASH, SPACE, special, string, wide_character
from pintally.schemas.events import MAX_LABEL, Label
from pintally.schemas.json_text import parse

MAX_LABELS: Final = 4_096  # of a table; the loop leaves values with more to the models
CROWDED: Final = MAX_LABELS // 2  # then the decoder begins another table
LABEL_BYTES: Final = 4 * MAX_LABEL  # as in UTF-8; one that is written longer, with escapes, is not learnt
UNKNOWN: Final = -2  # instead of a place: the loop stops for a label that the table may learn
# Of a stop: where the label begins in its value, its size in bytes (0: it is not for a label), and how many may follow.
PLACE, SIZE, LESSONS = 0, 1, 2
_SLOTS: Final = 4 * MAX_LABELS
_PROBES: Final = 64  # slots that are looked at for a label: nobody can make them more
_KEY, _NUMBER, _TEXT = 0, 1, 2  # columns of an entry; its text takes the rest
_COUNT: Final = (0, 0)  # entry 0 is of no label: it holds how many there are
_PLAIN, _WRITTEN = Word(0), Word(1 << 32)  # a key is one of these and the size in bytes
_NUMBERS: Final = Word(0xFFFF)  # bits of a slot: the index of an entry, and above it bits of its hash
_MULTIPLIER: Final = Word(0xD6E8FEB86659FD93)
_Label: Final = TypeAdapter[str](Label)


class Table(NamedTuple):
    """An open-addressing table of labels."""

    entries: NDArray[np.uint64]  # shape (MAX_LABELS + 1, 2 + words of the text)
    slots: NDArray[np.uint64]  # 0 is free
    seed: Word  # so that nobody can choose labels that meet in one slot


TABLE_TYPE: Final = named(Table, ROWS, UNSIGNEDS, UNSIGNED)


# The table


@inlined
def _first_bytes(word: Word, count: int) -> Word:
    """The first `count` bytes, 0 to 7, with zero bytes behind them."""
    return word & ((Word(1) << Word(8 * count)) - Word(1))


@inlined
def _mixed(hashed: Word, word: Word) -> Word:
    hashed = (hashed ^ word) * _MULTIPLIER
    return hashed ^ hashed >> Word(32)


@inlined
def _last_mixed(hashed: Word, word: Word, size: int) -> Word:
    """The hash of a label of `size` bytes, whose whole words are mixed, and whose rest begins `word`."""
    return _mixed(hashed, _first_bytes(word, size & 7) ^ Word(size) << Word(56))


@inlined
def _hash(words: Words, start: int, size: int, seed: Word) -> Word:
    hashed, whole = seed, size >> 3
    for place in range(whole):
        hashed = _mixed(hashed, words[start + 8 * place])
    return _last_mixed(hashed, words[start + 8 * whole], size)


@inlined
def _is_same(words: Words, start: int, size: int, key: Word, entries: NDArray[np.uint64], entry: Word) -> bool:
    """Whether an entry has this key and text. A loop that stops: one that does not is compiled to slow gathers."""
    whole, place = size >> 3, 0
    same = entries[entry, _KEY] == key
    while same and place < whole:
        same = entries[entry, _TEXT + place] == words[start + 8 * place]
        place += 1
    return bool(same and entries[entry, _TEXT + whole] == _first_bytes(words[start + 8 * whole], size & 7))


@inlined
def _entry(words: Words, start: int, size: int, how: Word, hashed: Word, table: Table, add: bool) -> Word:
    """The entry of a label, which is added if it is new and `add` is true; 0 if it is not there."""
    key, mask = how | Word(size), Word(len(table.slots) - 1)
    slot = hashed & mask
    for _ in range(_PROBES):
        if not table.slots[slot]:
            break
        if (table.slots[slot] ^ hashed) >> Word(16) == Word(0):
            entry: Word = table.slots[slot] & _NUMBERS
            if _is_same(words, start, size, key, table.entries, entry):
                return entry
        slot = (slot + Word(1)) & mask
    entry = table.entries[_COUNT] + Word(1)
    if not add or entry > Word(MAX_LABELS) or table.slots[slot]:
        return Word(0)
    table.entries[_COUNT] = entry
    table.entries[entry, _KEY], table.entries[entry, _NUMBER] = key, entry
    whole = size >> 3
    for place in range(whole):
        table.entries[entry, _TEXT + place] = words[start + 8 * place]
    table.entries[entry, _TEXT + whole] = _first_bytes(words[start + 8 * whole], size & 7)
    table.slots[slot] = hashed & ~_NUMBERS | entry
    return entry


# Labels in an event


@inlined
def label(words: Words, at: int, end: int, table: Table, stop: NDArray[np.int64]) -> tuple[int, Word]:
    """The place behind a label, and its number. UNKNOWN if it is written with escapes and the table may learn it."""
    if words[at] & BYTE != QUOTE:
        return LEFT, Word(0)
    start = at + 1
    at, hashed = start, table.seed
    for _ in range(0, MAX_LABEL + 1, 8):
        word = words[at]
        found = special(word)
        if found:
            at += characters_before(found)
            size = at - start
            if words[at] & BYTE != QUOTE:
                return _other_label(words, start, end, table, stop)
            if size == 0 or size > MAX_LABEL or at >= end:
                break
            number = _entry(words, start, size, _PLAIN, _last_mixed(hashed, word, size), table, True)
            return at + 1 if number else LEFT, number
        hashed = _mixed(hashed, word)
        at += 8
        if at >= end:
            break
    return LEFT, Word(0)


@called
def _other_label(words: Words, start: int, end: int, table: Table, stop: NDArray[np.int64]) -> tuple[int, Word]:
    """As `label`, behind its first quote, where not all is plain ASCII."""
    at, characters = start, 0
    while words[at] & BYTE != QUOTE:
        byte = words[at] & BYTE
        if byte == BACKSLASH:
            return _written_label(words, start, end, table, stop)
        if byte < SPACE or at >= end:
            return LEFT, Word(0)
        at = wide_character(words, at) if byte > ASCII else at + 1
        characters += 1
        if at < 0 or characters > MAX_LABEL:
            return LEFT, Word(0)
    size = at - start
    if at >= end:
        return LEFT, Word(0)
    number = _entry(words, start, size, _PLAIN, _hash(words, start, size, table.seed), table, True)
    return at + 1 if number else LEFT, number


@inlined
def _written_label(words: Words, start: int, end: int, table: Table, stop: NDArray[np.int64]) -> tuple[int, Word]:
    """As `label`, behind its first quote, where there is an escape."""
    behind = string(words, start, end)
    size = behind - 1 - start
    if behind < 0 or behind > end or size > LABEL_BYTES:
        return LEFT, Word(0)
    entry = _entry(words, start, size, _WRITTEN, _hash(words, start, size, table.seed), table, False)
    if entry:
        number = table.entries[entry, _NUMBER]
        return behind if number else LEFT, number
    if stop[LESSONS] == 0:
        return LEFT, Word(0)
    stop[PLACE], stop[SIZE] = start, size
    stop[LESSONS] -= 1
    return UNKNOWN, Word(0)


# Around the loop


@compiled(UNSIGNED, WORDS, UNSIGNED, TABLE_TYPE, allocates=False)
def _add(words: Words, key: Word, table: Table) -> Word:
    """The entry of the label that begins `words`; 0 if there is no room for it."""
    size = int(np.int64(key & ~_WRITTEN))
    return _entry(words, 0, size, key & _WRITTEN, _hash(words, 0, size, table.seed), table, True)


class Labels:
    """The labels of a table by number, from 1 on; 0 is no label."""

    def __init__(self) -> None:
        entries = np.zeros((MAX_LABELS + 1, _TEXT + 1 + LABEL_BYTES // 8), np.uint64)
        self.table = Table(entries, np.zeros(_SLOTS, np.uint64), Word(secrets.randbits(64)))
        self._others: dict[str, int] = {}  # labels of values that the models read, when the table was full
        self._other_labels: list[str] = []  # the same, by number

    def __len__(self) -> int:
        return int(self.table.entries[_COUNT])

    def __getitem__(self, number: int) -> str | None:
        """The label of a number."""
        if number == 0:
            return None
        if number > MAX_LABELS:
            return self._other_labels[number - MAX_LABELS - 1]
        entry = self.table.entries[number]
        text: bytes = entry[_TEXT:].tobytes()
        return text[: int(entry[_KEY])].decode()

    def number(self, label: str | None) -> int:
        """The number of a label that the models accepted."""
        if label is None:
            return 0
        return self._add(label.encode(), _PLAIN) or self._others.get(label) or self._add_other(label)

    def learn(self, written: bytes) -> None:
        """Learn a label as it is written, between its quotes; 0 is the number of one that the models refuse."""
        try:
            number = self.number(_Label.validate_python(parse(b'"' + written + b'"'), strict=True))
        except ValueError:
            number = 0
        if entry := self._add(written, _WRITTEN):
            self.table.entries[entry, _NUMBER] = number

    def _add_other(self, label: str) -> int:
        self._other_labels.append(label)
        self._others[label] = MAX_LABELS + len(self._other_labels)
        return self._others[label]

    def _add(self, text: bytes, how: Word) -> int:
        words = words_of(np.frombuffer(text + bytes(15 - len(text) % 8), np.uint8))
        return int(_add(words, how | Word(len(text)), self.table))
