"""Counted records a pin, minute, action, surface and platform."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pintally.audit.aggregates.aggregate import COUNT, NAME
from pintally.audit.cells import Cells, Counts
from pintally.audit.contract import ACTIONS
from pintally.audit.findings import Finding
from pintally.audit.labels import DIGEST, DIGEST_BYTES, DIGEST_SQL, counted_as, unnamed
from pintally.audit.rules import MINUTE_MS
from pintally.audit.words import utc

PIN_BITS = 64
MINUTE_BITS = 32
LABEL_BITS = 8 * DIGEST_BYTES
PLACE_BITS = 9  # of a label among those of a slice: at most 258
_PLACE = np.uint64((1 << PLACE_BITS) - 1)
_SHIFT = np.uint64(PLACE_BITS)


class Key(NamedTuple):
    """What names a cell within its slice."""

    action: int
    minute: int  # seconds since 1970
    surface: bytes  # digest
    platform: bytes  # digest
    pin: int


class PinMinutes:
    """The table `pin_minutes`. A key is action, minute, the digests of surface and platform, and pin."""

    table = "pin_minutes"
    value = "events"
    trusted = "trusted"
    columns = f"action, toUInt32(minute), {DIGEST_SQL.format('surface')}, {DIGEST_SQL.format('platform')}, pin_id"
    layout = np.dtype([
        *NAME, ("action", "u1"), ("minute", "<u4"), ("surface", DIGEST), ("platform", DIGEST), ("pin_id", "<u8"), *COUNT
    ])  # fmt: skip

    def cells_of(self, counts: Counts) -> Cells:
        """The cells of the counted records of a slice. Minute and labels are sorted as one number."""
        events, breakdown = counts.events, counts.rules.breakdown
        surfaces, platforms = (
            counted_as(counts.labels, numbers) if breakdown else unnamed(len(numbers))
            for numbers in (events.surface, events.platform)
        )
        where = (events.occurred_at // MINUTE_MS).astype(np.uint64)
        for part in (surfaces, platforms):
            where = where << _SHIFT | part.places
        cells = Cells.of((where, events.pin_id), counts.offsets, counts.trusted)
        where, pins = cells.keys
        minutes = (where >> _SHIFT * np.uint64(2)) * np.uint64(MINUTE_MS // 1000)
        keys = (
            np.full(len(pins), counts.action, np.uint8),
            minutes.astype(np.uint32),
            surfaces.digests[where >> _SHIFT & _PLACE],
            platforms.digests[where & _PLACE],
            pins,
        )
        return replace(cells, keys=keys, labels=(surfaces, platforms))

    def number(self, *key: Any) -> int:
        """A key as one number."""
        action, minute, surface, platform, pin = key
        number = int(action) << MINUTE_BITS | int(minute)
        for label in (surface, platform):
            number = number << LABEL_BITS | int.from_bytes(label, "big")
        return number << PIN_BITS | int(pin)

    def key(self, number: int) -> "Key":
        """The key that a number stands for."""
        number, pin = divmod(number, 1 << PIN_BITS)
        number, platform = divmod(number, 1 << LABEL_BITS)
        number, surface = divmod(number, 1 << LABEL_BITS)
        action, minute = divmod(number, 1 << MINUTE_BITS)
        return Key(action, minute, surface.to_bytes(DIGEST_BYTES, "big"), platform.to_bytes(DIGEST_BYTES, "big"), pin)

    def start_of(self, key: int) -> int:
        """Start of the minute, in seconds since 1970."""
        return self.key(key).minute

    def describe(self, about: Finding, key: int, name: Callable[[bytes], str]) -> Finding:
        """The finding, with the cell that it is about."""
        action, minute, surface, platform, pin = self.key(key)
        about = replace(about, surface=name(surface), platform=name(platform), pin=pin)
        return replace(about, action=ACTIONS.get(action, str(action)), minute=utc(minute))
