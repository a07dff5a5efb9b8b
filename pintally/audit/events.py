"""Many values to the columns of events. msgspec reads what is ordinary; contract.py decides all the rest, one by one.

Only what E1 to E12 surely accept is accepted here, so that the verdict is always that of contract.py:
- msgspec reads one JSON text by RFC 8259 into a struct, and checks types, bounds of numbers, lengths in characters and
  the number of experiments. It refuses half a surrogate and resolves escapes; of a name that occurs twice the last one
  counts.
- It is lax in two things, which are tested here: it accepts wrong UTF-8 in fields that are ignored, and deep nesting.
- The forms of UUIDs and numbers are tested here, for all events at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import hexdigits
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from pintally.audit.arms import Assigned
from pintally.audit.contract import (
    END_OF_TIME_MS,
    MAX_BYTES,
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_ID,
    MAX_MEMBERS,
    Event,
    behind_prefix,
    read_event,
)
from pintally.audit.labels import Labels

_Label = Annotated[str, Meta(min_length=1, max_length=MAX_CHARACTERS)]
_Id = Annotated[str, Meta(min_length=1, max_length=20)] | Annotated[int, Meta(ge=0, le=2**63 - 1)]
_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError)  # TypeError: a tombstone
_HYPHENS = (8, 13, 18, 23)
_HYPHEN, _WRONG = 16, 17
_NIBBLES = bytes(  # of each character: the value of its digit
    _HYPHEN if chr(code) == "-" else int(chr(code), 16) if chr(code) in hexdigits else _WRONG for code in range(256)
)


@dataclass(frozen=True, slots=True)
class Events:
    """Columns of events; where `valid` is false, the others are 0. `event_id` has the two halves of the UUID.

    Surfaces and platforms are numbers of the Labels that the reader was given, experiments are one number of its
    Assigned; 0 if there is none.
    """

    valid: NDArray[np.bool_]
    event_id: NDArray[np.uint64]  # (n, 2)
    pin_id: NDArray[np.uint64]
    occurred_at: NDArray[np.int64]  # Unix ms
    user_id: NDArray[np.uint64]
    surface: NDArray[np.uint32]
    platform: NDArray[np.uint32]
    experiments: NDArray[np.uint32]

    @classmethod
    def none(cls) -> "Events":
        """No events."""
        ids, numbers, labels = np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.uint32)
        return cls(np.empty(0, np.bool_), np.empty((0, 2), np.uint64), ids, numbers, ids, labels, labels, labels)

    @classmethod
    def joined(cls, parts: "Sequence[Events]") -> "Events":
        """All of several, which have the same Labels."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))

    def at(self, places: Any) -> "Events":
        """The events at some places."""
        return Events(*(getattr(self, name)[places] for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.valid)


class _Read(msgspec.Struct, gc=False):
    event_id: Annotated[str, Meta(min_length=36, max_length=36)]
    pin_id: _Id
    user_id: _Id
    occurred_at: Annotated[int, Meta(ge=0, lt=END_OF_TIME_MS)]
    surface: _Label | None = None
    platform: _Label | None = None
    experiments: Annotated[dict[_Label, _Label], Meta(max_length=MAX_MEMBERS)] | None = None


_NO_EVENT = Event(bytes(16), 0, 0, 0, None, None, {})
_BLANK = _Read("00000000-0000-0000-0000-000000000000", "0", "0", 0)  # stands for what was not accepted


class EventReader:
    """Reads the values of the topic of an action."""

    def __init__(self, action: str, prefix_bytes: int = 0) -> None:
        fits: Any = Literal[action]
        struct = msgspec.defstruct("Event", [("action", fits)], bases=(_Read,), kw_only=True, gc=False)
        self._decode = msgspec.json.Decoder(struct).decode
        self._action, self._prefix_bytes = action, prefix_bytes

    def read(self, values: Sequence[bytes | None], labels: Labels, assigned: Assigned) -> Events:
        """The events that the values hold, by the verdicts of `read_event`.

        New labels are added to `labels`, new sets of arms to `assigned`.
        """
        prefix = self._prefix_bytes
        texts = [behind_prefix(value, prefix) for value in values] if prefix else values
        events, accepted = self._structs(texts)
        accepted &= ~_doubtful(texts)
        pins, pins_fit = _numbers([event.pin_id for event in events])
        users, users_fit = _numbers([event.user_id for event in events])
        ids, ids_fit = _halves([event.event_id for event in events])
        accepted &= pins_fit & users_fit & ids_fit
        occurred_at = np.array([event.occurred_at for event in events], np.int64)
        surfaces = labels.numbers([event.surface for event in events])
        platforms = labels.numbers([event.platform for event in events])
        arms = np.array([assigned.number(event.experiments) for event in events], np.uint32)
        found = Events(accepted, ids, pins, occurred_at, users, surfaces, platforms, arms)
        for index in np.flatnonzero(~accepted).tolist():
            _write(found, index, read_event(values[index], self._action, prefix) or _NO_EVENT, labels, assigned)
        return found

    def _structs(self, texts: Sequence[bytes | None]) -> tuple[list[Any], NDArray[np.bool_]]:
        """What msgspec accepts, blanks for what it does not, and which it accepts."""
        events: list[Any] = []
        accepted = np.ones(len(texts), np.bool_)
        rest: Sequence[bytes | None] = texts
        while rest:
            try:
                events.extend(map(self._decode, rest))  # type: ignore[arg-type] # None is refused
            except _REFUSALS:  # those before it stay in the list
                accepted[len(events)] = False
                events.append(_BLANK)
            rest = texts[len(events) :]
        return events, accepted


def _write(found: Events, index: int, event: Event, labels: Labels, assigned: Assigned) -> None:
    found.valid[index] = event is not _NO_EVENT
    found.event_id[index] = np.frombuffer(event.event_id, ">u8")
    found.pin_id[index], found.user_id[index], found.occurred_at[index] = event.pin_id, event.user_id, event.occurred_at
    found.surface[index], found.platform[index] = labels[event.surface], labels[event.platform]
    found.experiments[index] = assigned.number(event.experiments)


def _doubtful(texts: Sequence[bytes | None]) -> NDArray[np.bool_]:
    """Which texts are too long, may nest too deep, or are not UTF-8."""
    known = [text or b"" for text in texts]
    whole, lengths = b"".join(known), np.fromiter(map(len, known), np.int64, len(known))
    brackets = np.flatnonzero((np.frombuffer(whole, np.uint8) | 0x20) == ord("{"))  # 0x20 makes a { of a [
    opened = np.diff(np.searchsorted(brackets, np.cumsum(lengths)), prepend=0)
    doubtful: NDArray[np.bool_] = (lengths > MAX_BYTES) | (opened > MAX_DEPTH)
    if not whole.isascii():
        doubtful |= np.fromiter((not _is_utf8(text) for text in known), np.bool_, len(known))
    return doubtful


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _numbers(written: Sequence[str | int]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The numbers, and which are written as the contract says: Python writes a number in the same way."""
    try:
        numbers = list(map(int, written))
        if list(map(str, numbers)) == written and min(numbers, default=0) >= 0:
            return np.array(numbers, np.uint64), np.ones(len(numbers), np.bool_)
    except (ValueError, OverflowError):
        pass
    each = [_number(text) for text in written]
    return np.array([number or 0 for number in each], np.uint64), np.array([number is not None for number in each])


def _number(written: str | int) -> int | None:
    try:
        number = int(written)
    except ValueError:
        return None
    return number if 0 <= number <= MAX_ID and (type(written) is int or str(number) == written) else None


def _halves(uuids: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The two halves of UUIDs of 36 characters, and which of them are such."""
    joined = "".join(uuids)
    if not joined.isascii():
        joined = "".join(uuid if uuid.isascii() else "?" * 36 for uuid in uuids)
    text = np.frombuffer(joined.encode().translate(_NIBBLES), np.uint8).reshape(-1, 36)
    digits = np.delete(text, _HYPHENS, axis=1)
    fits = (digits < _HYPHEN).all(axis=1) & (text[:, _HYPHENS] == _HYPHEN).all(axis=1)
    octets = np.ascontiguousarray(digits[:, ::2] << 4 | digits[:, 1::2] & 15)
    return octets.view(">u8").astype(np.uint64), fits
