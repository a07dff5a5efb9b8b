"""The member that one counted record makes, by recount, and its row in ClickHouse (C31)."""

from dataclasses import dataclass

import numpy as np

from pintally.audit.aggregates import AGGREGATES
from pintally.audit.aggregates.pin_members import PinMembers
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.labels import DIGEST_SQL, digest
from pintally.audit.shown import Stored, row_of
from pintally.audit.slices import Slice

PLACE = next(at for at, each in enumerate(AGGREGATES) if isinstance(each, PinMembers))
WHERE = (
    "action = {action:UInt8} AND hour = toDateTime({hour:UInt32}, 'UTC') AND pin_id = {pin:UInt64}"
    " AND user_key = {user_key:UInt32} AND user_hash = {user_hash:UInt64}"
    f" AND hex({DIGEST_SQL.format('surface')}) = {{surface:String}}"
)


@dataclass(frozen=True, slots=True)
class Member:
    """The row of `pin_members` that counts the event. It does not say the hash of the user."""

    surface: str  # under which it counts
    hour: int  # seconds since 1970
    recounted: int  # counted records of the user there, below `below`, by recount
    below: int
    stored: Stored | None


def member_of(clickhouse: ClickHouse, source: int, slice_: Slice, offset: int) -> Member | None:
    """The member of a counted record; None where rules count no users."""
    cells = slice_.cells[PLACE]
    for cell in cells.of_record(offset):
        action, hour, surface, user_key, user_hash, pin = (column[cell].item() for column in cells.keys)
        key = {"action": action, "hour": hour, "pin": pin, "user_key": user_key, "user_hash": user_hash}
        named = {digest(name): name for name in cells.names}
        stored = row_of(clickhouse, "pin_members", WHERE, source, slice_.key, surface=surface.hex().upper(), **key)
        below = slice_.end if stored is None else min(stored.position, slice_.end)
        own = cells.offsets[cells.starts[cell] : cells.starts[cell + 1]]
        return Member(named[surface], hour, int(np.count_nonzero(own < below)), below, stored)
    return None
