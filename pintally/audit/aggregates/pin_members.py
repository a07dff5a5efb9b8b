"""Counted records a user, pin, hour, action and surface; the user by a keyed hash. None where rules name no key."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pintally.audit.aggregates.aggregate import COUNT, NAME
from pintally.audit.cells import Cells, Counts
from pintally.audit.contract import ACTIONS
from pintally.audit.findings import Finding
from pintally.audit.labels import DIGEST, DIGEST_BYTES, DIGEST_SQL, counted_as, unnamed
from pintally.audit.user_hash import hashes, named
from pintally.audit.words import utc

HOUR_MS = 3_600_000
PLACE_BITS = np.uint64(9)  # of a surface among those of a slice: at most 258
_PLACE = np.uint64((1 << 9) - 1)
_KEY = ("action", "hour", "surface", "user_key", "user_hash", "pin_id")
_KEY_BITS, _WORD_BITS, _LABEL_BITS = 32, 64, 8 * DIGEST_BYTES


class PinMembers:
    """The table `pin_members`. A key is action, hour, the digest of the surface, key of the hash, hash, and pin."""

    table = "pin_members"
    value = "events"
    trusted = "trusted"
    columns = f"action, toUInt32(hour), {DIGEST_SQL.format('surface')}, user_key, user_hash, pin_id"
    layout = np.dtype([
        *NAME, ("action", "u1"), ("hour", "<u4"), ("surface", DIGEST), ("user_key", "<u4"), ("user_hash", "<u8"),
        ("pin_id", "<u8"), *COUNT
    ])  # fmt: skip

    def cells_of(self, counts: Counts) -> Cells:
        """The cells of the counted records of a slice. Raises CannotTell if the key is missing."""
        key_id, events = counts.rules.user_key, counts.events
        every = np.ones(len(counts.offsets), np.bool_)
        if not key_id:
            return Cells.of(tuple(np.empty(0, self.layout[name]) for name in _KEY), counts.offsets[:0], every[:0])
        hashed = hashes(named(counts.keys, key_id), events.user_id)
        surfaces = counted_as(counts.labels, events.surface) if counts.rules.breakdown else unnamed(len(every))
        where = (events.occurred_at // HOUR_MS).astype(np.uint64) << PLACE_BITS | surfaces.places
        cells = Cells.of((where, hashed, events.pin_id), counts.offsets, counts.trusted)
        where, hashed, pins = cells.keys
        keys = (
            np.full(len(pins), counts.action, np.uint8),
            ((where >> PLACE_BITS) * np.uint64(HOUR_MS // 1000)).astype(np.uint32),
            surfaces.digests[where & _PLACE],
            np.full(len(pins), int(key_id, 16), np.uint32),
            hashed,
            pins,
        )
        return replace(cells, keys=keys, labels=(surfaces,))

    def number(self, *key: Any) -> int:
        """A key as one number."""
        action, hour, surface, user_key, hashed, pin = key
        number = int(action) << 32 | int(hour)
        number = number << _LABEL_BITS | int.from_bytes(surface, "big")
        number = number << _KEY_BITS | int(user_key)
        return (number << _WORD_BITS | int(hashed)) << _WORD_BITS | int(pin)

    def start_of(self, key: int) -> int:
        """Start of the hour, in seconds since 1970."""
        return key >> _LABEL_BITS + _KEY_BITS + 2 * _WORD_BITS & 0xFFFFFFFF

    def describe(self, about: Finding, key: int, name: Callable[[bytes], str]) -> Finding:
        """The finding, with the pin and hour that it is about; whose row it is, it does not say."""
        number, pin = divmod(key, 1 << _WORD_BITS)
        number >>= _WORD_BITS + _KEY_BITS
        number, surface = divmod(number, 1 << _LABEL_BITS)
        action, hour = divmod(number, 1 << 32)
        label = name(surface.to_bytes(DIGEST_BYTES, "big"))
        about = replace(about, table=self.table, surface=label, pin=pin)
        return replace(about, action=ACTIONS.get(action, str(action)), minute=utc(hour))
