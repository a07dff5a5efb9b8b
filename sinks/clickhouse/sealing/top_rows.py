"""The SQL of tops: of an hour's rows or a bucket's tiles those with the most events, and what is known of the rest.

Rows are listed whose events are above the 10,000th highest number (1,700th of a bucket). So equal numbers cannot make
the list long. One row more has the highest count of each action among those that are not listed: no pin that has no row
can have more. Of a bucket there is one for each ten minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import NAMES, each

TOTAL = " + ".join(action.column for action in Action)


@dataclass(frozen=True, slots=True)
class Tops:
    """The tops of one kind of window."""

    table: str
    names: str  # its first columns: those of rows that are compared with each other
    ranked: str  # the rows of the window that they are taken from
    length: int

    def insert(self, connection: Connection, window: Mapping[str, int]) -> None:
        """Insert the tops of a window's rows; `window` has their `number`."""
        given = {**window, "least": self._least(connection, window)}
        connection.execute(
            f"""
INSERT INTO {self.table} ({self.names}, is_rest, pin_id, {NAMES}, events, seal)
SELECT {self.names}, false, pin_id, {NAMES}, events, %(number)s FROM ({self.ranked}) WHERE events > %(least)s
UNION ALL
SELECT {self.names}, true, toUInt64(0), {each("max(r.{column})")}, max(r.events), %(number)s
FROM ({self.ranked}) AS r WHERE r.events <= %(least)s GROUP BY {self.names}
""",
            given,
        )

    def fit(self, connection: Connection, window: Mapping[str, int]) -> bool:
        """Whether tops with that number are there once, and whole."""
        least = self._least(connection, window)
        wanted = connection.one(
            f"SELECT countIf(events > {least}), sumIf(events, events > {least}),"
            f" uniqExactIf(window_start, events <= {least}) FROM ({self.ranked})",
            **window,
        )
        where = f"{self.names.split(', ')[0]} = toDateTime(%(start)s, 'UTC') AND seal = %(number)s"
        there = connection.one(
            "SELECT countIf(NOT is_rest), sumIf(events, NOT is_rest), countIf(is_rest)"
            f" FROM {self.table} WHERE {where}",
            **window,
        )
        return there == wanted

    def _least(self, connection: Connection, window: Mapping[str, int]) -> int:
        """Rows with more events than this are listed."""
        highest = f"SELECT events FROM ({self.ranked}) ORDER BY events DESC LIMIT {self.length}"
        sql = f"SELECT if(count() < {self.length}, 0, min(events)) FROM ({highest})"
        return int(connection.one(sql, **window)[0])


HOUR_TOPS = Tops(
    "hour_tops",
    "window_start",
    f"SELECT window_start, pin_id, {NAMES}, {TOTAL} AS events FROM pin_hours_by_pin"
    " WHERE window_start = toDateTime(%(start)s, 'UTC') AND seal = %(number)s",
    10_000,
)
TILE_TOPS = Tops(
    "tile_tops",
    "arrived_at, window_start",
    f"SELECT arrived_at, window_start, pin_id, {NAMES}, {TOTAL} AS events FROM pin_tiles"
    " WHERE arrived_at = toDateTime(%(start)s, 'UTC') AND seal = %(number)s"
    " AND window_start >= toDateTime(%(hours_until)s, 'UTC')",
    1_700,
)
