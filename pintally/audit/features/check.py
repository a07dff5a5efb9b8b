"""The tables of features, day by day: read, compared, and what differs read again until it is gone or sure.

Cuts are read first, then what is sealed, then rows: sealing writes them in the other order.
"""

from collections.abc import Iterator, Sequence

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.features.compare import compare_bases, compare_buckets, compare_day
from pintally.audit.features.cuts import check_cuts
from pintally.audit.features.pins import named
from pintally.audit.features.state import DAY, HOUR, read_state
from pintally.audit.features.sums import BUCKET_OF, read_base, read_buckets, read_day, read_hours
from pintally.audit.features.tops import check_tops
from pintally.audit.findings import Finding
from pintally.audit.kept import read_kept
from pintally.audit.looks import lasting

TABLES = ("pin_minutes", "pin_tiles", "pin_hours_by_pin", "pin_corrections", "pin_base")
BOUNDS = "SELECT toUInt32(min({window})) AS first, toUInt32(max({window})) AS last, count() AS rows FROM {table}"
WINDOW = {"pin_minutes": "minute", "pin_base": "day"}
BASE_DAYS = 30


def check_features(clickhouse: ClickHouse, since: int) -> list[Finding]:
    """Compare every window from `since` (seconds) on whose cells are still kept. Memory is for one day at most."""
    days = list(_days(clickhouse, since // HOUR * HOUR))
    found = lasting(lambda: check_cuts(read_state(clickhouse), since))
    for first, end in days:
        found += lasting(lambda first=first, end=end: _look_at(clickhouse, first, end))  # type: ignore[misc]
    if days:
        found += lasting(lambda: _look_at_buckets(clickhouse, days))
        found += lasting(lambda: _look_at_bases(clickhouse, days))
    return found


def count_windows(clickhouse: ClickHouse, since: int) -> int:
    """Returns how many windows `check_features` compares."""
    oldest = max(since, _first_kept(clickhouse))
    return sum(not window.is_open for window in read_state(clickhouse, oldest).windows.values())


def _look_at(clickhouse: ClickHouse, first: int, end: int) -> Iterator[Finding]:
    state = read_state(clickhouse)
    if state.cuts:
        day = read_day(clickhouse, first, end, state.newest)
        yield from named(clickhouse, state, compare_day(day, state))
        yield from check_tops(clickhouse, first, end)


def _look_at_buckets(clickhouse: ClickHouse, days: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    state = read_state(clickhouse)
    sums = (read_buckets(clickhouse, table, first, end) for first, end in days for table in BUCKET_OF)
    yield from named(clickhouse, state, compare_buckets(sums, state))


def _look_at_bases(clickhouse: ClickHouse, days: Sequence[tuple[int, int]]) -> Iterator[Finding]:
    """The hours of the 30 days before the first base are read too; where they may be gone, the base is left out."""
    state = read_state(clickhouse)
    if not state.cuts:
        return
    kept = _first_kept(clickhouse)
    first, last = state.first_hours_until // DAY * DAY, state.hours_until // DAY * DAY
    compared = [day for day in range(first, last + 1, DAY) if day >= days[0][0] and day - BASE_DAYS * DAY >= kept]
    if compared:
        hours = read_hours(clickhouse, compared[0] - BASE_DAYS * DAY, compared[-1])
        bases = {day: read_base(clickhouse, day) for day in compared}
        yield from named(clickhouse, state, compare_bases(hours, bases, state))


def _days(clickhouse: ClickHouse, since: int) -> Iterator[tuple[int, int]]:
    """Yields the days of event time to compare, as [first, end) in seconds since 1970."""
    first, last = _bounds(clickhouse)
    first = max(first // HOUR * HOUR, since, _first_kept(clickhouse))
    for day in range(first // DAY * DAY, last + 1, DAY):
        yield max(day, first), day + DAY


def _bounds(clickhouse: ClickHouse) -> tuple[int, int]:
    """Returns the first and the last window of all tables."""
    sql = " UNION ALL ".join(BOUNDS.format(table=table, window=WINDOW.get(table, "window_start")) for table in TABLES)
    bounds = [row for row in clickhouse.rows(sql) if row["rows"]]
    return min((row["first"] for row in bounds), default=0), max((row["last"] for row in bounds), default=-1)


def _first_kept(clickhouse: ClickHouse) -> int:
    """Returns the start (seconds) of the first day that no table has dropped rows of."""
    return read_kept(clickhouse, *TABLES).whole_days_since
