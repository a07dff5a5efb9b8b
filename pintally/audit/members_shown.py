"""The member that one counted record makes, by recount, and its row in ClickHouse (C31)."""

from dataclasses import dataclass

from pintally.audit.aggregates import place_of
from pintally.audit.aggregates.pin_members import PinMembers
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.flags_shown import Flag, flag_of
from pintally.audit.labels import DIGEST_SQL, digest
from pintally.audit.shown import Stored, compared_below, row_of
from pintally.audit.slices import Slice

PLACE = place_of(PinMembers)
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
    recounted_trusted: int  # those of them that are trusted
    below: int
    stored: Stored | None
    flag: Flag | None  # None: not known, as users of the hour are not sealed, or flags are deleted with age


def member_of(clickhouse: ClickHouse, source: int, slice_: Slice, offset: int) -> Member | None:
    """The member of a counted record; None where rules count no users."""
    cells = slice_.cells[PLACE]
    for cell in cells.of_record(offset):
        action, hour, surface, user_key, user_hash, pin = (column[cell].item() for column in cells.keys)
        key = {"action": action, "hour": hour, "pin": pin, "user_key": user_key, "user_hash": user_hash}
        named = {digest(name): name for name in cells.names}
        stored = row_of(clickhouse, "pin_members", WHERE, source, slice_.key, surface=surface.hex().upper(), **key)
        below = compared_below(slice_.end, stored)
        counted, trusted = cells.counted_below(cell, below)
        flag = flag_of(clickhouse, hour, user_key, user_hash)
        return Member(named[surface], hour, counted, trusted, below, stored, flag)
    return None
