"""The rows of `arm_day_seals`: of which days the users of arms are sealed, and which are to be. Times in seconds.

A day is due when it is sealed and no hour of its longest window is open. It is due again if one of these hours was
sealed after it: whoever writes members opens the hour in `sealed` (see `cells.write_cells`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.retention import member_days
from pintally.sinks.clickhouse.sealing.reopen import DAY

MOST_DAYS = 31  # of the longest window
NAMES = ("seal", "rows_seal", "is_open", "days", "least", "rows", "check_sum", "members_sum")
ROW = f"SELECT {', '.join(NAMES)} FROM arm_day_seals FINAL WHERE day = toDateTime(%(day)s, 'UTC')"
HAS_MEMBERS = "SELECT count() FROM (SELECT 1 FROM arm_members LIMIT 1)"
SEALED_DAYS = """
SELECT toUnixTimestamp(window_start) FROM sealed FINAL
WHERE resolution = 'day' AND NOT is_open AND window_start >= toDateTime(%(first)s, 'UTC')
ORDER BY window_start
"""
HOURS = """
SELECT max(seal), max(is_open) FROM sealed FINAL
WHERE resolution = 'hour' AND window_start >= toDateTime(%(first)s, 'UTC') AND window_start < toDateTime(%(end)s, 'UTC')
"""

Sums = tuple[int, int, int]  # rows, the sum of their hashes, and that of the members


@dataclass(frozen=True, slots=True)
class ArmDaySeal:
    """The row of a day with the highest seal number."""

    seal: int = 0
    rows_seal: int = 0
    is_open: bool = True
    days: int = 0
    least: int = 0
    sums: Sums = (0, 0, 0)

    @property
    def was_sealed(self) -> bool:
        """Whether the day was ever sealed."""
        return self.rows_seal > 0


def read_seal(connection: Connection, day: int) -> ArmDaySeal:
    """The row that holds for a day."""
    for seal, rows_seal, is_open, days, least, *sums in connection.rows(ROW, day=day):
        return ArmDaySeal(seal, rows_seal, is_open, days, least, (sums[0], sums[1], sums[2]))
    return ArmDaySeal()


def publish(connection: Connection, day: int, row: ArmDaySeal) -> None:
    """From here on readers take these rows, unless a higher number is there."""
    values = (row.seal, row.rows_seal, row.is_open, row.days, row.least, *row.sums)
    connection.insert("arm_day_seals", ("day", *NAMES), [(day, *values)])


def is_sealed(connection: Connection, row: ArmDaySeal, first: int, end: int) -> bool:
    """Whether the row still holds for hours in [first, end), or one of them is open: the day is sealed after them."""
    newest, is_open = connection.one(HOURS, first=first, end=end)
    return is_open or (not row.is_open and row.seal > newest)


def kept_days(connection: Connection) -> Iterator[tuple[int, int]]:
    """Sealed days whose members are surely all there, and the days of the longest window that ends with each."""
    if not connection.one(HAS_MEMBERS)[0]:
        return
    (now,) = connection.one("SELECT toUnixTimestamp(now())")
    days = min(member_days(connection) or MOST_DAYS, MOST_DAYS)
    first = -(-(now - days * DAY) // DAY) * DAY
    for (day,) in connection.rows(SEALED_DAYS, first=first):
        yield day, (day - first) // DAY + 1
