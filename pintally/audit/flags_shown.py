"""Whether the user of a counted record is flagged in its hour, as the users of that hour were sealed (C37)."""

from dataclasses import dataclass

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.kept import read_kept

SEALED = """
SELECT rows_seal, flagged_above FROM user_seals FINAL
WHERE resolution = 'hour' AND window_start = toDateTime({hour:UInt32}, 'UTC') AND rows_seal > 0"""
FLAGGED = """
SELECT events, pins FROM flagged_users
WHERE hour = toDateTime({hour:UInt32}, 'UTC') AND user_key = {user_key:UInt32} AND user_hash = {user_hash:UInt64}
    AND seal = {seal:UInt64}"""


@dataclass(frozen=True, slots=True)
class Flag:
    """What the hour says of the user of the event. It does not say the hash of the user."""

    is_flagged: bool
    above: int  # the limit: users with more events in the hour are flagged; 0: nobody is
    events: int | None = None  # of a flagged user, in the hour, over all pins
    pins: int | None = None  # distinct ones among them


def flag_of(clickhouse: ClickHouse, hour: int, user_key: int, user_hash: int) -> Flag | None:
    """The flag of a user in an hour (seconds since 1970).

    None while the users of the hour are not sealed, and where flags may be deleted with age.
    """
    if hour < read_kept(clickhouse, "flagged_users").since("flagged_users"):
        return None
    for sealed in clickhouse.rows(SEALED, hour=hour):
        given = {"hour": hour, "user_key": user_key, "user_hash": user_hash, "seal": sealed["rows_seal"]}
        rows = clickhouse.rows(FLAGGED, **given)
        numbers = (rows[0]["events"], rows[0]["pins"]) if rows else ()
        return Flag(bool(rows), sealed["flagged_above"], *numbers)
    return None
