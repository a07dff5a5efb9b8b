"""The SQL of tops: of an hour's rows or a bucket's tiles those with the most events, and what is known of the rest.

Rows are listed whose events are above the 10,000th highest number (1,700th of a bucket). So equal numbers cannot make
the list long. One row more has the highest of each count among those that are not listed: no pin that has no row can
have more. Of a bucket there is one for each ten minutes. Who has few
events has few trusted ones, so one list is for both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COUNTS, TOTAL, TRUSTED_TOTAL, each_count

Wanted = tuple[int, int, int]  # rows that are listed, their events, and windows of which some row is not


@dataclass(frozen=True, slots=True)
class Highest:
    """Of the rows of one hour, or of ten minutes of a bucket."""

    rows: int
    events: Sequence[int]  # of the rows with the most, at least so many as a list may have


@dataclass(frozen=True, slots=True)
class Tops:
    """The tops of one kind of window."""

    table: str
    names: str  # its first columns: those of rows that are compared with each other
    ranked: str  # the rows of the window that they are taken from
    length: int

    def least(self, found: Iterable[Highest]) -> int:
        """Rows with more events than this are listed."""
        highest = sorted((events for each in found for events in each.events), reverse=True)
        return highest[self.length - 1] if len(highest) >= self.length else 0

    def insert(self, connection: Connection, window: Mapping[str, int], least: int) -> None:
        """Insert the tops of a window's rows; `window` has their `number`."""
        connection.execute(
            f"""
INSERT INTO {self.table} ({self.names}, is_rest, pin_id, {COUNTS}, events, trusted, seal)
SELECT {self.names}, false, pin_id, {COUNTS}, events, trusted, %(number)s FROM ({self.ranked}) WHERE events > %(least)s
UNION ALL
SELECT {self.names}, true, toUInt64(0), {each_count("max(r.{count})")}, max(r.events), max(r.trusted), %(number)s
FROM ({self.ranked}) AS r WHERE r.events <= %(least)s GROUP BY {self.names}
""",
            {**window, "least": least},
        )

    def there(self, connection: Connection, window: Mapping[str, int]) -> Wanted:
        """What the tops with that number hold."""
        where = f"{self.names.split(', ')[0]} = toDateTime(%(start)s, 'UTC') AND seal = %(number)s"
        listed, events, rests = connection.one(
            "SELECT countIf(NOT is_rest), sumIf(events, NOT is_rest), countIf(is_rest)"
            f" FROM {self.table} WHERE {where}",
            **window,
        )
        return listed, events, rests


def wanted(found: Iterable[Highest], least: int) -> Wanted:
    """What the tops of these rows must hold. Of events above `least` all are among the highest."""
    listed = [(each.rows, [events for events in each.events if events > least]) for each in found]
    rests = sum(len(events) < rows for rows, events in listed)
    return sum(len(events) for _, events in listed), sum(sum(events) for _, events in listed), rests


TOTALS = f"{TOTAL} AS events, {TRUSTED_TOTAL} AS trusted"
HOUR_TOPS = Tops(
    "hour_tops",
    "window_start",
    f"SELECT window_start, pin_id, {COUNTS}, {TOTALS} FROM pin_hours_by_pin"
    " WHERE window_start = toDateTime(%(start)s, 'UTC') AND seal = %(number)s",
    10_000,
)
TILE_TOPS = Tops(
    "tile_tops",
    "arrived_at, window_start",
    f"SELECT arrived_at, window_start, pin_id, {COUNTS}, {TOTALS} FROM pin_tiles"
    " WHERE arrived_at = toDateTime(%(start)s, 'UTC') AND seal = %(number)s"
    " AND window_start >= toDateTime(%(hours_until)s, 'UTC')",
    1_700,
)
