"""Questions of bench.views about surfaces and platforms: one pin's day, by the view and by `pintally.features`."""

from collections.abc import Sequence
from functools import partial

from bench.asking import Limits, Reader, keep, timed
from bench.figures import Kept
from pintally.schemas.dimensions import Dimension
from pintally.sinks.reads.breakdowns import Asked, read_hours

SURFACES = ["home", "search", "related", "board", "profile", "notification", "email", "unknown"]
PLATFORMS = ["ios", "android", "web", "unknown"]
TABLES = ("pin_hour_breakdowns", "pin_day_breakdowns")

DAY, HOUR = 86_400, 3600
ONE_PIN_MS = 20
ONE_PIN = Limits(p95_ms=ONE_PIN_MS)
COUNTS = "window_start, label, saves, clicks, closeups"
BY_HOURS = (
    f"SELECT {COUNTS} FROM pin_breakdown_1h WHERE pin_id = {{pin}} AND dimension = 'surface'"
    " AND window_start >= {since} ORDER BY window_start, label"
)
BY_DAY = (
    f"SELECT {COUNTS} FROM pin_breakdown_1d WHERE pin_id = {{pin}} AND dimension = 'surface'"
    " AND window_start = {since} ORDER BY label"
)


def ask_breakdowns(reader: Reader, found: Kept, pins: Sequence[int], popular: int, now: int) -> None:
    """One pin's day by surface: drawn pins, and the one with the most events."""
    since, yesterday = (now - DAY) // HOUR * HOUR, now // DAY * DAY - DAY
    many = [popular] * len(pins)
    for whose, asked in (("one pin's", pins), ("the most popular pin's", many)):
        last_day = f"{whose} last day by surface"
        _ask_read(reader, found, f"{last_day}, as pintally.features asks", asked, since, now + HOUR)
        _ask_sql(reader, found, f"{last_day}, by the view of hours", BY_HOURS, asked, since)
    _ask_sql(reader, found, "the same, planned and not run", f"EXPLAIN {BY_HOURS}", many, since, Limits())
    _ask_sql(reader, found, "the most popular pin's yesterday by surface, by the view of days", BY_DAY, many, yesterday)


def _ask_read(reader: Reader, found: Kept, name: str, pins: Sequence[int], since: int, until: int) -> None:
    asked = [Asked(since, until, Dimension.SURFACE, (pin,)) for pin in pins]
    runs = [partial(read_hours, reader.connection, each) for each in asked]
    keep(found, name, timed(reader, runs), ONE_PIN, reader.pid is not None)
    if not any(len(run()[0]) for run in runs[:3]):
        raise RuntimeError(f"nothing was found: {name}")


def _ask_sql(
    reader: Reader,
    found: Kept,
    name: str,
    sql: str,
    pins: Sequence[int],
    since: int,
    limits: Limits = ONE_PIN,
) -> None:
    runs = [partial(reader.connection.rows, sql.format(pin=pin, since=since)) for pin in pins]
    keep(found, name, timed(reader, runs), limits, reader.pid is not None)
