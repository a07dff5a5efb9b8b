"""The members of arms that one counted record makes, by recount, and their rows in ClickHouse (C36)."""

from dataclasses import dataclass

from pintally.audit.aggregates import place_of
from pintally.audit.aggregates.arm_members import ArmMembers
from pintally.audit.clickhouse import ClickHouse
from pintally.audit.labels import DIGEST_SQL, digest
from pintally.audit.shown import Stored, compared_below, row_of
from pintally.audit.slices import Slice

PLACE = place_of(ArmMembers)
WHERE = (
    "action = {action:UInt8} AND hour = toDateTime({hour:UInt32}, 'UTC')"
    " AND user_key = {user_key:UInt32} AND user_hash = {user_hash:UInt64}"
    f" AND hex({DIGEST_SQL.format('experiment')}) = {{experiment:String}}"
    f" AND hex({DIGEST_SQL.format('arm')}) = {{arm:String}}"
)


@dataclass(frozen=True, slots=True)
class ArmMember:
    """The row of `arm_members` that counts the event in one of its arms. It does not say the hash of the user."""

    experiment: str  # under which it counts: `other` beyond the first arms of a slice
    arm: str
    hour: int  # seconds since 1970
    recounted: int  # counted records of the user there, below `below`, by recount
    below: int
    stored: Stored | None  # in it every record is trusted: members have no such count


def arm_members_of(clickhouse: ClickHouse, source: int, slice_: Slice, offset: int) -> list[ArmMember]:
    """The members of a counted record, in the order of their key; none where rules count no users or no arms."""
    cells = slice_.cells[PLACE]
    named = {digest(name): name for name in cells.names}
    found = []
    for cell in cells.of_record(offset):
        action, hour, experiment, arm, user_key, user_hash = (column[cell].item() for column in cells.keys)
        key = {"action": action, "hour": hour, "user_key": user_key, "user_hash": user_hash}
        labels = {"experiment": experiment.hex().upper(), "arm": arm.hex().upper()}
        stored = row_of(clickhouse, "arm_members", WHERE, source, slice_.key, trusted="events", **labels, **key)
        below = compared_below(slice_.end, stored)
        counted, _ = cells.counted_below(cell, below)
        found.append(ArmMember(named[experiment], named[arm], hour, counted, below, stored))
    return found
