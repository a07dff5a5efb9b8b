"""What answers must equal: sums of the cells themselves, and of the older hours that were filled.

Nothing here reads what sealing wrote.
"""

from collections.abc import Collection, Mapping, Sequence

from bench.features_world import DAY, HOUR, LATENESS, World
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS, each

SPILL = {"max_bytes_before_external_group_by": 1_500_000_000}
FOREVER = 2**32 - 1
NOTHING = (0,) * len(COLUMNS)
Counts = tuple[int, ...]  # of each action

WINDOWS = ("1h", "24h", "7d", "30d")

EVENTS, OLDER_EVENTS = each("sumIf(events, action = {number}) AS {column}"), each("sum({column})")
OF_CELLS = """FROM pin_minutes FINAL
WHERE hour >= toStartOfHour(toDateTime(%(start)s, 'UTC')) AND minute >= %(start)s AND minute < %(end)s
    AND arrived_at < %(known)s"""
OF_OLDER = "FROM pin_hours_by_pin WHERE window_start >= %(start)s AND window_start < %(first)s"
OF_PINS, BY_PIN = "AND pin_id IN %(pins)s", "GROUP BY pin_id"


class WrongAnswer(RuntimeError):
    """An answer that is not the sum of the cells."""


def sums(
    connection: Connection, pins: Collection[int], start: int, end: int = FOREVER, known: int = FOREVER
) -> dict[int, Counts]:
    """Of these pins the events of [start, end) that arrived before `known`."""
    sql = f"SELECT pin_id, {EVENTS} {OF_CELLS} {OF_PINS} {BY_PIN}"
    rows = connection.rows(sql, pins=list(pins), start=start, end=end, known=known)
    return {pin: tuple(counts) for pin, *counts in rows}


def check_tops(
    connection: Connection, name: str, tops: Sequence[Mapping[int, Counts]], start: int, end: int, known: int
) -> int:
    """Compare a top by each action, and one by all of them together, with all pins; returns how many pins.

    Pins with equal counts at the last place may be exchanged.
    """
    measures = [*COLUMNS, " + ".join(COLUMNS)]
    asked = zip(measures, tops, strict=True)
    highest = ", ".join(f"groupArraySorted({max(1, len(top))})(-toInt64({measure}))" for measure, top in asked)
    sql = f"SELECT {highest} FROM (SELECT pin_id, {EVENTS} {OF_CELLS} {BY_PIN})"
    wanted = connection.execute(sql, {"start": start, "end": end, "known": known}, settings=SPILL)[0]
    for place, (top, least) in enumerate(zip(tops, wanted, strict=True)):
        have = [counts[place] if place < len(COLUMNS) else sum(counts) for counts in top.values()]
        compare(f"{name}, by {measures[place]}: counts in their order", have, [-each for each in least])
        compare(f"{name}: counts of the pins", dict(top), sums(connection, top, start, end, known))
    return sum(map(len, tops))


def starts(cut: int) -> dict[str, int]:
    """Where each window of features begins at a cut."""
    day = (cut - LATENESS) // HOUR * HOUR // DAY * DAY  # of hours_until
    return dict(zip(WINDOWS, (cut - HOUR, (cut - DAY) // HOUR * HOUR, day - 7 * DAY, day - 30 * DAY), strict=True))


def windows(connection: Connection, world: World, pins: Collection[int], cut: int) -> dict[str, dict[int, Counts]]:
    """What was known of these pins at a cut: window -> pin -> counts."""
    found = {}
    for name, start in starts(cut).items():
        cells = sums(connection, pins, start, known=cut)
        sql = f"SELECT pin_id, {OLDER_EVENTS} {OF_OLDER} {OF_PINS} {BY_PIN}"
        rows = connection.rows(sql, pins=list(pins), start=start, first=world.first)
        older: dict[int, Counts] = {pin: tuple(counts) for pin, *counts in rows}
        found[name] = {pin: added(cells.get(pin, NOTHING), older.get(pin, NOTHING)) for pin in pins}
    return found


def totals(connection: Connection, world: World, cut: int, below: int) -> list[int]:
    """What was known of all pins with ids below that one together: the counts of each window."""
    found: list[int] = []
    which = f"AND pin_id < {below}"
    for start in starts(cut).values():
        cells = connection.one(f"SELECT {EVENTS} {OF_CELLS} {which}", start=start, end=FOREVER, known=cut)
        older = f"SELECT {OLDER_EVENTS} {OF_OLDER} {which}"
        found += added(cells, connection.one(older, start=start, first=world.first))
    return found


def added(some: Counts, others: Counts) -> Counts:
    """Both together."""
    return tuple(a + b for a, b in zip(some, others, strict=True))


def compare(name: str, found: object, expected: object) -> None:
    """Raises WrongAnswer with both, cut short, unless they are equal."""
    if found != expected:
        raise WrongAnswer(f"{name}: the answer is {str(found)[:500]}, the sum of the cells {str(expected)[:500]}")
