"""Counted records a pin, minute and action."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.audit.aggregates.aggregate import COUNT, NAME
from pintally.audit.contract import ACTIONS
from pintally.audit.events import Events
from pintally.audit.findings import Finding
from pintally.audit.words import utc

PIN_BITS = 64
MINUTE_BITS = 32
PIN_MASK = (1 << PIN_BITS) - 1
MINUTE_MASK = (1 << MINUTE_BITS) - 1


class PinMinutes:
    """The table `pin_minutes`. A key is action, minute and pin, 8, 32 and 64 bits."""

    table = "pin_minutes"
    value = "events"
    key = "action, toUInt32(minute), pin_id"
    layout = np.dtype([*NAME, ("action", "u1"), ("minute", "<u4"), ("pin_id", "<u8"), *COUNT])

    def keys_of(self, action: int, minutes: NDArray[np.uint32], events: Events) -> tuple[NDArray[Any], ...]:
        """The cells that counted records add to."""
        return np.full(len(minutes), action, np.uint8), minutes, events.pin_id

    def number(self, *key: int) -> int:
        """A key as one number."""
        action, minute, pin = key
        return (action << MINUTE_BITS | minute) << PIN_BITS | pin

    def start_of(self, key: int) -> int:
        """Start of the minute, in seconds since 1970."""
        return key >> PIN_BITS & MINUTE_MASK

    def describe(self, about: Finding, key: int) -> Finding:
        """The finding, with the cell that it is about."""
        number = key >> PIN_BITS + MINUTE_BITS
        action, minute = ACTIONS.get(number, str(number)), utc(self.start_of(key))
        return replace(about, action=action, minute=minute, pin=key & PIN_MASK)
