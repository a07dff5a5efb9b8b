"""The rows of `user_seals`: which numbers of users count, and which hours and days are to be sealed. Times in seconds.

Users of a window are sealed after its counts, and again if those were sealed again: whoever writes members opens the
hour in `sealed` (see `cells.write_cells`), so the number of its next sealing is above that of its users.
"""

from dataclasses import dataclass

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.retention import member_days
from pintally.sinks.clickhouse.sealing.reopen import DAY, HOUR

NAMES = (
    "resolution", "window_start", "seal", "rows_seal", "is_open", "hours", "keys", "least", "sets", "check_sum",
    "flagged_sum", "flagged_above", "flagged_users", "flagged_events",
)  # fmt: skip
SPARE_DAYS = 1  # members that are deleted with age may be missing a day earlier
ROW = f"SELECT {', '.join(NAMES[2:])} FROM user_seals FINAL"
FIRST = "SELECT toUnixTimestamp(hour) FROM pin_members ORDER BY hour LIMIT 1"  # in the order of the key: no scan
COUNTS = """
SELECT seal FROM sealed FINAL
WHERE resolution = %(resolution)s AND window_start = toDateTime(%(start)s, 'UTC') AND NOT is_open
"""
# Those whose counts were sealed after their users. A day is due if one of its hours was sealed after it.
DUE_HOURS = """
SELECT toUnixTimestamp(window_start) FROM sealed AS s FINAL
LEFT JOIN (SELECT window_start, seal, is_open FROM user_seals FINAL WHERE resolution = 'hour') AS u USING (window_start)
WHERE s.resolution = 'hour' AND NOT s.is_open AND window_start >= toDateTime(%(first)s, 'UTC')
    AND (s.seal > u.seal OR u.is_open)
ORDER BY window_start
SETTINGS join_use_nulls = 0
"""
HOURS_OF_DAYS = """
SELECT toUnixTimestamp(toStartOfDay(window_start)) AS day, groupArray(rows_seal), max(seal), max(is_open)
FROM user_seals FINAL
WHERE resolution = 'hour' AND window_start >= toDateTime(%(first)s, 'UTC')
    AND toStartOfDay(window_start) IN
        (SELECT window_start FROM sealed FINAL WHERE resolution = 'day' AND NOT is_open)
GROUP BY day
ORDER BY day
"""


CLOSED = """
SELECT toString(resolution), toUnixTimestamp(window_start), least, flagged_above FROM user_seals FINAL
WHERE NOT is_open AND window_start >= toDateTime(%(first)s, 'UTC')
ORDER BY resolution, window_start
"""
SEALS_OF_DAY = """
SELECT rows_seal FROM user_seals FINAL
WHERE resolution = 'hour' AND toStartOfDay(window_start) = toDateTime(%(start)s, 'UTC')
"""


Sums = tuple[int, int, int]  # sets, the check sum of their members, and that of flagged users


@dataclass(frozen=True, slots=True)
class Flagged:
    """What readers may know of the users that are flagged in an hour (C37); nothing of a day."""

    above: int = 0  # the limit: users with more events are flagged
    users: int | None = None  # None: fewer than are shown
    events: int | None = None

    @classmethod
    def shown(cls, above: int, users: int, events: int, least: int) -> "Flagged":
        """The numbers, without those of fewer users than `least`."""
        return cls(above) if 0 < users < least else cls(above, users, events)


@dataclass(frozen=True, slots=True)
class UserSeal:
    """The row of a window in `user_seals` with the highest seal number."""

    seal: int = 0
    rows_seal: int = 0
    is_open: bool = True
    hours: int = 0
    keys: int = 0
    least: int = 0
    sums: Sums = (0, 0, 0)
    flagged: Flagged = Flagged()

    @property
    def was_sealed(self) -> bool:
        """Whether the window was ever sealed."""
        return self.rows_seal > 0


@dataclass(frozen=True, slots=True)
class DueDay:
    """A day whose users are to be sealed, with the seals of its hours."""

    start: int
    seals: tuple[int, ...]
    newest: int  # the highest seal of its hours


def read_seal(connection: Connection, resolution: str, start: int) -> UserSeal:
    """The row that holds for a window."""
    where = "resolution = %(resolution)s AND window_start = toDateTime(%(start)s, 'UTC')"
    rows = connection.rows(f"{ROW} WHERE {where}", resolution=resolution, start=start)
    if not rows:
        return UserSeal()
    seal, rows_seal, is_open, hours, keys, least, *sums = rows[0][:9]
    flagged = Flagged(*rows[0][9:])
    return UserSeal(seal, rows_seal, is_open, hours, keys, least, (sums[0], sums[1], sums[2]), flagged)


def publish(connection: Connection, resolution: str, start: int, row: UserSeal) -> None:
    """From here on readers take these rows, unless a higher number is there."""
    flagged = row.flagged.above, row.flagged.users, row.flagged.events
    values = (row.seal, row.rows_seal, row.is_open, row.hours, row.keys, row.least, *row.sums, *flagged)
    connection.insert("user_seals", NAMES, [(resolution, start, *values)])


def counts_seal(connection: Connection, resolution: str, start: int) -> int | None:
    """The number with which the counts of a window are sealed; None while they are not."""
    rows = connection.rows(COUNTS, resolution=resolution, start=start)
    return rows[0][0] if rows else None


def members_from(connection: Connection) -> tuple[int | None, int]:
    """The first hour that has members, of those whose members are surely all there, and the first of those hours.

    None if there are no members, and never were.
    """
    known, now = connection.one("SELECT count(), toUnixTimestamp(now()) FROM user_seals")
    found = connection.rows(FIRST)
    if not found and not known:
        return None, 0
    days = member_days(connection)
    kept = 0 if days is None else (now - (days - SPARE_DAYS) * DAY) // HOUR * HOUR + HOUR
    return max([kept, *(hour for (hour,) in found)]), kept


def due_hours(connection: Connection, first: int) -> list[int]:
    """The hours from `first` on whose users are to be sealed."""
    return [row[0] for row in connection.rows(DUE_HOURS, first=first)]


def due_days(connection: Connection, first: int) -> list[DueDay]:
    """The days that begin at `first` or later and whose users are to be sealed."""
    due = []
    for start, seals, newest, is_open in connection.rows(HOURS_OF_DAYS, first=-(-first // DAY) * DAY):
        row = read_seal(connection, "day", start)
        if not is_open and (row.is_open or row.seal < newest):
            due.append(DueDay(start, tuple(seals), newest))
    return due


def closed(connection: Connection, first: int) -> list[tuple[str, int, int, int]]:
    """Resolution, start, `least` and limit of flags, of the windows from `first` on whose users are sealed."""
    return [(name, start, least, above) for name, start, least, above in connection.rows(CLOSED, first=first)]


def seals_of_day(connection: Connection, start: int) -> tuple[int, ...]:
    """The seals of the sets of its hours."""
    return tuple(row[0] for row in connection.rows(SEALS_OF_DAY, start=start))
