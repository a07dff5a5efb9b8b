"""How soon readers get an answer from 100 million rows of minutes and a month of days.

    python -m bench.views                 # 100,000,000 rows, some minutes to fill, about 3 GB of disk
    python -m bench.views --quick         # 4,000,000 rows

The tables are those that `pintally migrate` makes. Cells as workers write them are generated in ClickHouse: 10 million
pins, the n-th drawn with probability about 1/n, three actions, four partitions each, slices of ten minutes; hour by
hour from now backwards until there are enough rows; 8 surfaces and 4 platforms, each half as frequent as the one
before; the last two minutes flush by flush, so that there are small parts.
Sealing is the product's own: all that ended more than an hour ago. Older days are written to pin_days alone, sealed;
of each of the 90 days that are kept there are a few minutes too, which no question is about: a partition is a day.

Every query is asked of a view over one connection, as a reader does, and timed there until the last row has come.
ClickHouse has whatever cores the machine has left. The data has just been written, so most of it is in the page cache.
"""

import time
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from bench.asking import Limits, Reader, keep, timed
from bench.breakdowns import PLATFORMS, SURFACES, TABLES, ask_breakdowns
from bench.engines import open_engines, say
from bench.figures import RESULTS, Kept, kept
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings

HOUR, DAY = 3600, 86_400
HOURS_AT_LEAST = 26  # the last day, from the first of its minutes on
ROWS_AN_HOUR = 2_200_000
KEPT_DAYS, ROWS_AN_OLDER_DAY = 88, 5_000
CELLS_AN_EVENT = 0.66  # of hours so full
FLUSHES = 120
TIMEOUT_SECONDS = 900
ONE_PIN_MS, TOP_OF_HOUR_MS, TOP_OF_DAY_MS = 20, 100, 150

FILL = """
INSERT INTO pin_minutes
    (source, slice_block, arrived_at, action, minute, pin_id, surface, platform, events, trusted, version)
SELECT sipHash64(action, pin_id % 4), intDiv(arrived_at, 600), arrived_at, action, intDiv(happened, 60) * 60 AS minute,
    pin_id, surface, platform, count() AS events, events - intDiv(events, 10), bitShiftLeft(1, 48) + number_of_write
FROM
(
    SELECT {number} AS number_of_write, sipHash64(toUInt64(exp(rand64(1) / pow(2., 64) * log({pins})))) AS pin_id,
        multiIf(rand(2) % 10 < 1, 1, rand(2) % 10 < 3, 2, 3) AS action,
        {start} + rand(3) % {seconds} AS happened,
        intDiv(happened + toUInt32(-log(1 - rand(4) / pow(2., 32)) * 60), 600) * 600 AS arrived_at,
        {surfaces}[1 + least(7, toUInt8(-log2(1 - rand(5) / pow(2., 32))))] AS surface,
        {platforms}[1 + least(3, toUInt8(-log2(1 - rand(6) / pow(2., 32))))] AS platform
    FROM numbers({events})
)
GROUP BY action, pin_id, minute, surface, platform, arrived_at, number_of_write
"""
OLDER_DAY = """
INSERT INTO pin_days (window_start, pin_id, saves, clicks, closeups, updated_at, seal)
SELECT toDateTime({day}, 'UTC'), sipHash64(number * 3 + {number} % 3), rand(1) % 3, rand(2) % 5, 1 + rand(3) % 20,
    now('UTC'), {seal}
FROM numbers({pins})
"""
OLDER_MINUTES = """
INSERT INTO pin_minutes (source, slice_block, arrived_at, action, minute, pin_id, surface, platform, events, version)
SELECT 1, {number}, minute, 1 + number % 3, {before} - (1 + number % {days}) * 86400 + rand(1) % 1440 * 60 AS minute,
    sipHash64(number), 'unknown', 'unknown', 1, 1
FROM numbers({rows})
"""
COLUMNS = "window_start, pin_id, saves, clicks, closeups"
ONE_PIN = "SELECT " + COLUMNS + " FROM {view} WHERE pin_id = {pin} AND window_start >= {since} ORDER BY window_start"
TOP = "SELECT " + COLUMNS + " FROM {view} WHERE window_start = {start} ORDER BY saves DESC LIMIT 100"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is filled and how often is asked."""

    rows: int
    pins: int = 10_000_000
    older_days: int = 28
    queries: int = 200


def views(
    rows: Annotated[int, typer.Option(min=1, help="Rows of pin_minutes at least.")] = 100_000_000,
    quick: Annotated[bool, typer.Option("--quick", help="4,000,000 rows, fewer queries.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for views.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Fill, seal, ask, print."""
    size = Size(4_000_000, 1_000_000, 3, 40) if quick else Size(rows)
    with open_engines() as engines:
        settings = engines.settings.changed(clickhouse_database=f"bench_{uuid.uuid4().hex[:8]}")
        migrate(settings.clickhouse)
        parameters = {"rows": size.rows, "pins": size.pins, "older days": size.older_days, "queries": size.queries}
        with Connection(settings.clickhouse, TIMEOUT_SECONDS) as connection:
            try:
                with kept("views", settings, into, as_json, parameters) as found:
                    measure(Reader(connection, engines.clickhouse_pid), settings, size, found)
            finally:
                connection.execute(f"DROP DATABASE {settings.clickhouse.database} SYNC")


def measure(reader: Reader, settings: Settings, size: Size, found: Kept) -> None:
    """All figures."""
    now, connection = int(time.time()), reader.connection
    filled = fill(connection, size, now)
    began = time.monotonic()
    result = seal(settings.clickhouse, now - HOUR, timeout_seconds=TIMEOUT_SECONDS)
    found.add("sealing, per hour of events", (time.monotonic() - began) / len(filled), "s")
    older_days(connection, size, now)
    older_minutes(connection, filled[-1] // DAY * DAY, now)
    describe_tables(connection, found)
    ask_all(reader, size, found, now, result.sealed_until)


def fill(connection: Connection, size: Size, now: int) -> list[int]:
    """Fill hours backwards from now; returns their starts."""
    an_hour = min(ROWS_AN_HOUR, size.rows // HOURS_AT_LEAST)
    events = int(an_hour / CELLS_AN_EVENT)
    hours: list[int] = []
    live = now - FLUSHES
    start, rows = live // HOUR * HOUR, 0
    while rows < size.rows or len(hours) < HOURS_AT_LEAST:
        seconds = min(HOUR, live - start) or 1
        insert(connection, size, start, seconds, events * seconds // HOUR, 1)
        hours.append(start)
        start -= HOUR
        rows = int(connection.rows("SELECT count() FROM pin_minutes")[0][0])
        say(f"{len(hours)} hours, {rows:,} rows of {size.rows:,}")
    for flush in range(FLUSHES):
        insert(connection, size, live, flush + 1, max(1, events // HOUR), 2 + flush)
    return hours


def insert(connection: Connection, size: Size, start: int, seconds: int, events: int, number: int) -> None:
    """Cells of events that happened within `seconds` from `start` on."""
    connection.execute(
        FILL.format(
            pins=size.pins,
            start=start,
            seconds=seconds,
            events=events,
            number=number,
            surfaces=SURFACES,
            platforms=PLATFORMS,
        )
    )


def older_days(connection: Connection, size: Size, now: int) -> None:
    """Sealed days before the first that has minutes, as large as the largest of those."""
    rows = connection.rows("SELECT toUnixTimestamp(min(window_start)), max(pins) FROM sealed WHERE resolution = 'day'")
    first, pins = (int(value) for value in rows[0])
    for number in range(1, size.older_days + 1):
        day, number_of_seal = (first or now // DAY * DAY) - number * DAY, 1_000_000 + number
        connection.execute(OLDER_DAY.format(day=day, number=number, seal=number_of_seal, pins=max(pins, 1000)))
        columns = ("resolution", "window_start", "seal", "is_open", "corrected", "pins", "saves", "clicks", "closeups")
        connection.insert("sealed", columns, [("day", day, number_of_seal, False, False, pins, 1, 1, 1)])


def older_minutes(connection: Connection, before: int, now: int) -> None:
    """Minutes of all other days that are kept, in three parts each that may merge. They are not sealed: nobody asks."""
    days = KEPT_DAYS - (now - before) // DAY
    for number in range(3):
        rows = days * ROWS_AN_OLDER_DAY
        connection.execute(OLDER_MINUTES.format(number=number, before=before, days=days, rows=rows))


def describe_tables(connection: Connection, found: Kept) -> None:
    """What was filled."""
    sql = (
        "SELECT count(), sum(rows), sum(bytes_on_disk) FROM system.parts"
        " WHERE active AND database = currentDatabase() AND table = '{}'"
    )
    for table in ("pin_minutes", "pin_hours", "pin_days", *TABLES):
        for parts, rows, size in connection.rows(sql.format(table)):
            found.add(f"{table}: rows", rows, "rows")
            found.add(f"{table}: active parts", parts, "parts")
            found.add(f"{table}: bytes a row", size / rows, "B")


def ask_all(reader: Reader, size: Size, found: Kept, now: int, sealed_until: int) -> None:
    """Every kind of question."""
    connection = reader.connection
    drawn = f"SELECT pin_id FROM pin_minutes WHERE minute >= {now - 2 * HOUR} ORDER BY rand() LIMIT {size.queries}"
    pins = [row[0] for row in connection.rows(drawn)]
    most = "SELECT pin_id FROM pin_minutes GROUP BY pin_id ORDER BY sum(events) DESC LIMIT 1"
    popular = connection.rows(most)[0][0]
    since, today = now - DAY, now // DAY * DAY
    for view, name in (("pin_engagement_1m", "minutes"), ("pin_engagement_1h", "hours"), ("pin_engagement_1d", "days")):
        asked = [
            ONE_PIN.format(view=view, pin=pin, since=since // DAY * DAY if name == "days" else since) for pin in pins
        ]
        ask(reader, found, f"one pin's last day by {name}", asked, ONE_PIN_MS if name == "minutes" else None)
    final = [ONE_PIN.format(view="pin_engagement_1m", pin=pin, since=since).replace(COLUMNS, "*", 1) for pin in pins]
    ask(reader, found, "one pin's last day by minutes and what is final", final, ONE_PIN_MS)
    busy = ONE_PIN.format(view="pin_engagement_1m", pin=popular, since=since)
    ask(reader, found, "the most popular pin's last day by minutes", [busy] * size.queries, ONE_PIN_MS)
    ask_breakdowns(reader, found, pins, popular, now)
    times = max(20, size.queries // 5)
    for name, view, start, limit in (
        ("a sealed hour", "pin_engagement_1h", sealed_until - 3 * HOUR, TOP_OF_HOUR_MS),
        ("the hour before this one, not sealed", "pin_engagement_1h", now // HOUR * HOUR - HOUR, TOP_OF_HOUR_MS),
        ("yesterday", "pin_engagement_1d", today - DAY, TOP_OF_DAY_MS),
        ("a day two weeks ago", "pin_engagement_1d", today - min(14, size.older_days) * DAY, TOP_OF_DAY_MS),
        ("today so far", "pin_engagement_1d", today, None),
    ):
        ask(reader, found, f"top 100 pins of {name}", [TOP.format(view=view, start=start)] * times, limit)


def ask(reader: Reader, found: Kept, name: str, queries: list[str], limit_ms: float | None) -> None:
    """Ask each query once."""
    found_rows: list[int] = []

    def run(query: str) -> None:
        found_rows.append(len(reader.connection.rows(query)))

    asked = timed(reader, [partial(run, query) for query in queries])
    keep(found, name, asked, Limits(p95_ms=limit_ms), reader.pid is not None)
    if not max(found_rows):
        raise RuntimeError(f"nothing was found: {queries[0]}")


if __name__ == "__main__":
    typer.run(views)
