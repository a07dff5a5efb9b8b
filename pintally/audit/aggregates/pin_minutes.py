"""Counted records a pin, minute and action."""

from dataclasses import replace
from struct import Struct

from pintally.audit.aggregates.aggregate import CellRow
from pintally.audit.contract import ACTIONS, Event
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
    layout = Struct("<IIBIQQQ")

    def row(self, *fields: int) -> CellRow:
        """A row of the table from the fields of `layout`."""
        slice_block, arrived_at, action, minute, pin, events, version = fields
        return CellRow(slice_block, arrived_at, (action << MINUTE_BITS | minute) << PIN_BITS | pin, events, version)

    def key_of(self, action: int, minute: int, event: Event) -> int:
        """The cell that a counted record adds to."""
        return (action << MINUTE_BITS | minute) << PIN_BITS | event.pin_id

    def start_of(self, key: int) -> int:
        """Start of the minute, in seconds since 1970."""
        return key >> PIN_BITS & MINUTE_MASK

    def describe(self, about: Finding, key: int) -> Finding:
        """The finding, with the cell that it is about."""
        number = key >> PIN_BITS + MINUTE_BITS
        action, minute = ACTIONS.get(number, str(number)), utc(self.start_of(key))
        return replace(about, action=action, minute=minute, pin=key & PIN_MASK)
