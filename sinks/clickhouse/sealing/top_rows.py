"""The SQL of tops: of an hour's rows or a bucket's tiles those with the most events, and what is known of the rest.

Rows are listed whose events are above the 10,000th highest number (1,700th of a bucket). So equal numbers cannot make
the list long. One row more has the highest count of each action among those that are not listed: no pin that has no row
can have more. Of a bucket there is one for each ten minutes.
"""

from dataclasses import dataclass

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import NAMES, each

TOTAL = " + ".join(action.column for action in Action)


@dataclass(frozen=True, slots=True)
class Tops:
    """The tops of one kind of window."""

    table: str
    key: str  # columns of the table before is_rest
    names: str  # those columns
    of: str  # rows that are compared with each other: a SELECT
    length: int

    @property
    def select(self) -> str:
        """The rows of the table for the window, without their number."""
        ranked = f"SELECT {self.key}, pin_id, {NAMES}, {TOTAL} AS events FROM {self.of}"
        highest = f"SELECT events FROM ({ranked}) ORDER BY events DESC LIMIT {self.length}"
        least = f"SELECT if(count() < {self.length}, 0, min(events)) FROM ({highest})"
        return f"""
SELECT {self.names}, false AS is_rest, pin_id, {NAMES}, events FROM ({ranked}) WHERE events > ({least})
UNION ALL
SELECT {self.names}, true AS is_rest, toUInt64(0) AS pin_id,
    {each("max(r.{column}) AS {column}")}, max(r.events) AS events
FROM ({ranked}) AS r WHERE r.events <= ({least}) GROUP BY {self.names}
"""

    def insert(self, connection: Connection, number: int, start: int, hours_until: int = 0) -> None:
        """Insert the tops of the rows with that number."""
        connection.execute(
            f"INSERT INTO {self.table} ({self.names}, is_rest, pin_id, {NAMES}, events, seal)"
            f" SELECT *, %(number)s FROM ({self.select})",
            {"number": number, "start": start, "hours_until": hours_until},
        )

    def fit(self, connection: Connection, number: int, start: int, hours_until: int = 0) -> bool:
        """Whether the tops with that number are those of the rows with it."""
        columns = f"{self.names}, is_rest, pin_id, {NAMES}, events"
        sums = f"count(), sum(cityHash64({columns}))"
        first = self.names.split(", ")[0]
        inserted = (
            f"SELECT {columns} FROM {self.table} WHERE {first} = toDateTime(%(start)s, 'UTC') AND seal = %(number)s"
        )
        there, wanted = connection.rows(
            f"SELECT {sums} FROM ({inserted}) UNION ALL SELECT {sums} FROM ({self.select})",
            number=number, start=start, hours_until=hours_until,
        )  # fmt: skip
        return bool(there == wanted)


HOUR_TOPS = Tops(
    "hour_tops",
    "window_start",
    "window_start",
    "(SELECT * FROM pin_hours_by_pin WHERE window_start = toDateTime(%(start)s, 'UTC') AND seal = %(number)s)",
    10_000,
)
TILE_TOPS = Tops(
    "tile_tops",
    "arrived_at, window_start",
    "arrived_at, window_start",
    "(SELECT * FROM pin_tiles WHERE arrived_at = toDateTime(%(start)s, 'UTC') AND seal = %(number)s"
    " AND window_start >= toDateTime(%(hours_until)s, 'UTC'))",
    1_700,
)
