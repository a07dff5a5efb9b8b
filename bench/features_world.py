"""The world of bench/features.py: two days of cells up to 23:48, and a month of complete hours before them.

Cells as workers write them are generated in ClickHouse. The n-th pin is drawn with probability about 1/n; 15% of the
events are of pins that are popular for six hours only. Three actions, four partitions each. Traffic follows the day:
one and a half times the mean in the afternoon, half of it at night. An event arrives a minute after it happened on
average; one in 2,000 is a dead letter, and is replayed with the others every four hours. The last two minutes are
written flush by flush, so that there are small parts.

Sealing is the product's own for all that has cells, and for the base of each day. The hours before are written as it
would write them: those of the seven days before, of the day that leaves the month when the last day begins, and one
that stands for the 22 days between. The last of all is left empty, as sealing compares it with its cells.
"""

import math
from dataclasses import dataclass

from bench.engines import say
from pintally.schemas.label_column import UNKNOWN
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS, COUNTS, OF_ACTION, each, each_count
from pintally.sinks.clickhouse.sealing.sequence import allocate_seal_id

HOUR, DAY, BUCKET = 3600, 86_400, 600
LATENESS = HOUR
TIME_OF_DAY = 23 * HOUR + 48 * 60  # 23:48: nearly all of the day is today, and eight minutes are in no cut
HOT = 6 * HOUR  # so long a pin is popular
REPLAY = 4 * HOUR  # how often dead letters are replayed
FLUSHES = 120
OLDER_DAYS, BASE_DAYS = 7, 30
CELLS_AN_EVENT = 0.6  # of hours so full

# The columns rank, pin_id and action of each event. {start}: which pins are popular
DRAWN = f"""
    toUInt64(exp(rand64(1) / pow(2., 64) * log({{pins}}))) AS rank,
    if(rand(2) % 100 < 15, sipHash64(rank, intDiv({{start}}, {HOT})), sipHash64(rank)) AS pin_id,
    multiIf(rand(3) % 10 < 1, 1, rand(3) % 10 < 3, 2, 3) AS action
"""
TRUSTED = 5  # at most so many events of a cell are trusted: fewer than in earnest, where users differ
CELLS = f"""
INSERT INTO pin_minutes (source, slice_block, arrived_at, action, minute, pin_id, surface, platform, events, trusted,
    version)
SELECT sipHash64(action, pin_id % 4), intDiv(arrived, {BUCKET}), intDiv(arrived, {BUCKET}) * {BUCKET} AS arrived_at,
    action, intDiv(happened, 60) * 60 AS minute, pin_id, '{UNKNOWN}', '{UNKNOWN}', count() AS n,
    least(n, {TRUSTED}),
    bitShiftLeft(1, 48) + {{write}}
FROM
(
    SELECT {DRAWN}, {{start}} + rand(4) % {{seconds}} AS happened,
        if(rand(6) % 2000 = 0, (intDiv(happened, {REPLAY}) + 1) * {REPLAY}, happened)
            + toUInt32(-log(1 - rand(5) / pow(2., 32)) * 60) AS arrived
    FROM numbers({{events}})
)
WHERE arrived < {{now}}
GROUP BY action, pin_id, minute, intDiv(arrived, {BUCKET})
"""
# Some hours at once: all of them have the same popular pins.
OLDER_HOURS = f"""
INSERT INTO pin_hours_by_pin (pin_id, window_start, {COUNTS}, seal)
SELECT pin_id, toDateTime({{start}} + n * {HOUR}, 'UTC') AS hour, {each("countIf(action = {number}) AS c{number}")},
    {each("c{number}")}, {{seal}}
FROM (SELECT {DRAWN}, rand(8) % {{hours}} AS n FROM numbers({{events}}))
GROUP BY pin_id, n
"""
# The n-th pin gets from nothing to twice its share of all events.
MONTH = f"""
INSERT INTO pin_hours_by_pin (pin_id, window_start, {COUNTS}, seal)
SELECT sipHash64(number), toDateTime({{start}}, 'UTC'),
    {each("toUInt64({events} / 3 / log({pins}) / number * (rand({number}) % 2000) / 1000) AS {column}")},
    {each("{column}")}, {{seal}}
FROM numbers(1, {{pins}} - 1)
WHERE {" + ".join(COLUMNS)} > 0
"""
# All of them are complete at the first cut there is. They were written then: sealing looks again at what was written
# last, and these have no cells.
SEALS = f"""
INSERT INTO feature_seals (kind, window_start, seal, rows_seal, is_open, corrected, complete_at, pins, {COUNTS},
    check_sum, written_at)
SELECT 'hours', window_start, seal, seal, false, false, toDateTime({{first}} + {BUCKET}, 'UTC') AS complete, count(),
    {each_count("sum({count})")}, sum({each(f"cityHash64(pin_id, toUInt8({{number}})) * {OF_ACTION}", " + ")}), complete
FROM pin_hours_by_pin GROUP BY window_start, seal
"""


@dataclass(frozen=True, slots=True)
class World:
    """How much there is. Times in seconds since 1970."""

    now: int  # 23:48 of a day; nothing arrived later
    cells: int  # at least
    pins: int
    busy_from: int = 0  # time of day before which nothing happens: a bucket without cells costs no sealing

    @property
    def today(self) -> int:
        """Start of the day."""
        return self.now // DAY * DAY

    @property
    def cut(self) -> int:
        """The newest cut: 23:40."""
        return self.now // BUCKET * BUCKET

    @property
    def first(self) -> int:
        """Start of the first hour that has cells."""
        return self.today - DAY

    def events(self, start: int, seconds: int) -> int:
        """How many events happen in so many seconds of the hour from `start` on."""
        mean = self.cells / (self.now - self.first - 2 * self.busy_from) / CELLS_AN_EVENT
        return int(mean * seconds * (1 + 0.5 * math.sin((start % DAY / HOUR - 9) / 24 * math.tau))) or 1


def at(now: int, cells: int, pins: int, busy_from: int = 0) -> World:
    """The world at the last 23:48 before `now`."""
    return World((now - TIME_OF_DAY) // DAY * DAY + TIME_OF_DAY, cells, pins, busy_from)


def fill_cells(connection: Connection, world: World) -> None:
    """Two days of cells."""
    live = world.now - FLUSHES
    insert_cells(connection, world, world.first, 10, 1)  # cuts begin with the first cell
    for start in range(world.first, live, HOUR):
        if start % DAY >= world.busy_from:
            insert_cells(connection, world, start, min(HOUR, live - start), 1)
        if start % HOT == 0:
            say(f"cells of {(start - world.first) // HOUR} hours of {(live - world.first) // HOUR}")
    for flush in range(FLUSHES):
        insert_cells(connection, world, live + flush, 1, 2 + flush)


def insert_cells(connection: Connection, world: World, start: int, seconds: int, write: int) -> None:
    """Cells of events that happened within `seconds` from `start` on."""
    events = world.events(start, seconds)
    connection.execute(
        CELLS.format(start=start, seconds=seconds, events=events, write=write, pins=world.pins, now=world.now)
    )


def fill_older(connection: Connection, world: World) -> None:
    """Complete hours of the days before. Sealing makes the bases of them."""
    number = allocate_seal_id(connection)
    for day in (world.first - BASE_DAYS * DAY, *range(world.first - OLDER_DAYS * DAY, world.first, DAY)):
        for start in range(day, day + DAY, HOT):
            hours = min(HOT, world.first - HOUR - start) // HOUR
            fill_hours(connection, world, start, hours, number)
        say(f"complete hours, {(world.first - day) // DAY} days before the cells")
    events = (BASE_DAYS - OLDER_DAYS - 1) * world.events(world.first + 9 * HOUR, DAY)
    month = world.first - (OLDER_DAYS + 1) * DAY
    connection.execute(MONTH.format(start=month, events=events, pins=world.pins, seal=number))
    connection.execute(SEALS.format(first=world.first))


def fill_hours(connection: Connection, world: World, start: int, hours: int, number: int) -> None:
    """Rows of some hours, with their seal number."""
    events = world.events(start + HOT // 2, hours * HOUR)
    connection.execute(OLDER_HOURS.format(start=start, hours=hours, events=events, pins=world.pins, seal=number))
