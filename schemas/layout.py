"""Values written alike: a head of the required fields, in the order and with the separators that producers write, and
a tail, which is all behind the 13 digits of `occurred_at`.

Heads are read by columns, a whole run at once. They may hold less than the contract allows: ids as strings, times of 13
digits. Where a head ends, JSON stands behind a number in the event's object, whatever the fields were. So whether a
tail is good depends on the tail alone, but for one thing: it may repeat a name of the head, and the last one counts.
Tails are therefore learnt from the models: `validate` must accept one behind two heads that differ in every field, and
return each head's own fields. That refuses tails that begin with a digit too: 14 digits are no time before 2100. The
size of a value is far within its bounds.

Values that do not fit are not judged here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from schemas.actions import Action
from schemas.columns import LONGEST_ID, Mask, Places, Text, are_ids, are_uuids, numbers_before, uuid_halves, windows
from schemas.events import MAX_OCCURRED_AT, ContractError, validate
from schemas.tails import Tails

RUN: Final = 5_000  # values at a time: a third less an event than 1,000, for calls of numpy cost as much for few
FEWEST: Final = 750  # values; a run of fewer is read faster one by one
FEWEST_OF_A_SHAPE: Final = 32  # and so are fewer with ids of the same lengths
SEPARATORS: Final = ((",", ":"), (", ", ": "))  # (comma, colon): without spaces, and as Python's json.dumps writes
_MAX_MEAN: Final = 1_024  # bytes a value of a run: longer ones are not copied for a look
_REST: Final = 15  # runs that are not looked at after one of which less than half fitted
_PADDING: Final = bytes(1_024)  # behind the values, so that every window lies inside the text
_LENGTHS: Final = LONGEST_ID + 1  # that an id may have; 0 stands for what is no id
_UUID: Final = b"00000000-0000-0000-0000-000000000000", b"ffffffff-ffff-ffff-ffff-ffffffffffff"
_TIME: Final = b"1000000000000", b"9999999999999"
_HEADS: Final = (  # they differ in every field: what a tail says instead is wrong for one of them
    (UUID(int=1), 2, 3, 1_000_000_000_004),
    (UUID(int=5), 6, 7, 1_000_000_000_008),
)


@dataclass(frozen=True, slots=True)
class Alike:
    """Which values of a run fit a layout, and the columns of these."""

    fits: Mask
    pin_id: NDArray[np.uint64]
    occurred_at: NDArray[np.int64]
    event_id: NDArray[np.uint64]


class Layout:
    """One way to write the events of `action`: with the `comma` and the `colon` of a JSON writer."""

    def __init__(self, action: Action, comma: str, colon: str) -> None:
        self._action = action
        self._opening = f'{{"event_id"{colon}"'.encode()
        self._to_pin = f'"{comma}"action"{colon}"{action.label}"{comma}"pin_id"{colon}"'.encode()
        self._to_user = f'"{comma}"user_id"{colon}"'.encode()
        self._to_time = f'"{comma}"occurred_at"{colon}'.encode()
        self._bounds: dict[int, tuple[Text, Text]] = {}
        self._tails = Tails(self._is_good)
        self._resting = 0

    def begins(self, value: bytes | None) -> bool:
        """True if the value begins as this layout does."""
        return value is not None and value.startswith(self._opening)

    def read(self, values: Sequence[bytes | None]) -> Alike | None:
        """Those of a run that fit; None if it is not worth a look."""
        if self._resting:
            self._resting -= 1
            return None
        try:
            values = cast(Sequence[bytes], values)
            lengths = np.fromiter(map(len, values), np.int64, len(values))
        except TypeError:  # a tombstone among them
            return self.read([value or b"" for value in values])
        stops = lengths.cumsum()
        if stops[-1] > len(values) * _MAX_MEAN:
            return None
        text = np.frombuffer(b"".join((*values, _PADDING)), np.uint8)
        starts = stops - lengths
        pins = starts + len(self._opening) + len(_UUID[0]) + len(self._to_pin)
        pin_digits = _to_quote(text, pins)
        users = pins + pin_digits + len(self._to_user)
        user_digits = _to_quote(text, users)
        tails = users + user_digits + len(self._to_time) + len(_TIME[0])
        rows = np.flatnonzero(self._are_heads(text, starts, pin_digits, user_digits))
        # No value is completed by its neighbour: a head that ends behind its value has a tail of no bytes or fewer.
        rows = rows[self._tails.find(text, tails[rows], (stops - tails)[rows])]
        occurred_at = numbers_before(text, tails[rows], len(_TIME[0]))
        uuids = windows(text, starts[rows] + len(self._opening), len(_UUID[0]))
        event_id = uuid_halves(uuids)
        if event_id is None or occurred_at.max(initial=0) >= MAX_OCCURRED_AT:
            good = are_uuids(uuids) & (occurred_at < MAX_OCCURRED_AT)
            rows, occurred_at, event_id = rows[good], occurred_at[good], uuid_halves(uuids[good])
            assert event_id is not None  # `are_uuids` asks of each what `uuid_halves` asks of all
        if 2 * len(rows) < len(values):
            self._resting = _REST
        fits = np.zeros(len(values), np.bool_)
        fits[rows] = True
        pin_id = numbers_before(text, (pins + pin_digits)[rows], pin_digits[rows])
        return Alike(fits, pin_id, occurred_at.astype(np.int64), event_id)

    def _are_heads(self, text: Text, starts: Places, pin_digits: Places, user_digits: Places) -> Mask:
        """Which have the head for ids of these lengths; of UUIDs only the hyphens are tested."""
        found = np.zeros(len(starts), np.bool_)
        shapes = pin_digits * _LENGTHS + user_digits
        for shape in np.flatnonzero(np.bincount(shapes) >= FEWEST_OF_A_SHAPE).tolist():
            pin, user = divmod(shape, _LENGTHS)
            if pin and user:
                rows = np.flatnonzero(shapes == shape)
                found[rows] = self._have_shape(text, starts[rows], pin, user)
        return found

    def _have_shape(self, text: Text, starts: Places, pin: int, user: int) -> Mask:
        lowest, span = self._between(pin, user)
        head = windows(text, starts, len(lowest))
        head -= lowest  # below it uint8 wraps round
        inside = head <= span
        found = np.ones(len(starts), np.bool_) if inside.all() else np.asarray(inside.all(axis=1))
        if pin == LONGEST_ID:
            found &= are_ids(text, starts + len(self._opening) + len(_UUID[0]) + len(self._to_pin))
        if user == LONGEST_ID:
            found &= are_ids(text, starts + len(lowest) - len(_TIME[0]) - len(self._to_time) - user)
        return found

    def _between(self, pin: int, user: int) -> tuple[Text, Text]:
        """What the bytes of a head with ids of such lengths are at least, and how much more they may be."""
        key = pin * _LENGTHS + user
        if key not in self._bounds:
            lowest, highest = (
                np.frombuffer(
                    self._opening + uuid + self._to_pin + pin_id + self._to_user + user_id + self._to_time + time,
                    np.uint8,
                )
                for uuid, pin_id, user_id, time in zip(_UUID, _digits(pin), _digits(user), _TIME, strict=True)
            )
            self._bounds[key] = lowest, highest - lowest
        return self._bounds[key]

    def _is_good(self, tail: bytes) -> bool:
        """True if events with this tail are valid, and stay what their heads say."""
        for uuid, pin, user, time in _HEADS:
            head = b"%b%b%b%d%b%d%b%d" % (
                *(self._opening, str(uuid).encode(), self._to_pin, pin),
                *(self._to_user, user, self._to_time, time),
            )
            try:
                event = validate(head + tail, self._action)
            except ContractError:
                return False
            if (event.event_id, event.pin_id, event.user_id, event.occurred_at) != (uuid, pin, user, time):
                return False
        return True


def _to_quote(text: Text, places: Places) -> Places:
    """How many bytes from there to the next quote; 0 if more than an id has."""
    return np.asarray((windows(text, places, _LENGTHS) == ord('"')).argmax(axis=1), np.int64)


def _digits(length: int) -> tuple[bytes, bytes]:
    """The smallest and the largest decimal of this length."""
    return str(10 ** (length - 1) if length > 1 else 0).encode(), b"9" * length
