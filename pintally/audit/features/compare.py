"""What the tables of features must hold, from the cells and the cuts alone, compared with what they hold. Pure.

Of each cell that is known at the newest cut, arrival and hour decide the table (docs/decisions/0017).
- Its hour was not complete when its bucket was sealed: a tile, and once more in the hour when that is complete.
- Its hour was complete: a correction, known from the end of its bucket on.
Base rows are sums of hours. An open window is not compared: readers take its last publication, and it is sealed again.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pintally.audit.contract import MEASURES
from pintally.audit.features.state import DAY, HOUR, TEN_MINUTES, State, Window
from pintally.audit.features.sums import DAYS, NO_ROWS, NOTHING, Day, Rows, Sums

TILES, HOURS, CORRECTIONS, BASE = "pin_tiles", "pin_hours_by_pin", "pin_corrections", "pin_base"
SEALS = "feature_seals"


@dataclass(frozen=True, slots=True)
class Difference:
    """One window of one table. With `sums`, what differs is in its rows; else in what `what` names."""

    table: str
    window: int  # seconds since 1970
    found: Sums | int
    expected: Sums | int
    arrived: int | None = None  # arrival bucket
    what: str | None = None
    seal: int = 0  # of the rows that count
    is_time: bool = False  # found and expected are seconds since 1970


def compare_day(day: Day, state: State) -> Iterator[Difference]:
    """Yield what of a day differs from its cells, by what is published."""
    expected = _split(day, state)
    unnamed: dict[int, int] = defaultdict(int)
    yield from _tiles(day, expected, state, unnamed)
    yield from _corrections(day, expected, state, unnamed)
    yield from _hours(day, expected, state)
    for bucket, events in sorted(unnamed.items()):
        if events:
            yield Difference(SEALS, bucket, 0, events, bucket, "tiles: no row")


@dataclass(slots=True)
class Expected:
    """The known cells of a day, by table."""

    tiles: dict[tuple[int, int], Sums] = field(default_factory=dict)  # ten minutes, arrival bucket
    corrections: dict[tuple[int, int], Sums] = field(default_factory=dict)  # hour, arrival bucket
    hours: dict[int, Sums] = field(default_factory=dict)


def _split(day: Day, state: State) -> Expected:
    expected = Expected()
    for (window, arrived), sums in day.cells.items():
        hour = window // HOUR * HOUR
        complete_at = state.complete_at(hour)
        if arrived + TEN_MINUTES > state.newest or not sums.events:
            continue
        if complete_at is not None and arrived >= complete_at:
            key = hour, arrived
            expected.corrections[key] = expected.corrections.get(key, NOTHING) + sums
            continue
        expected.tiles[window, arrived] = sums
        if complete_at is not None:
            expected.hours[hour] = expected.hours.get(hour, NOTHING) + sums
    return expected


def _tiles(day: Day, expected: Expected, state: State, unnamed: dict[int, int]) -> Iterator[Difference]:
    return _in_buckets(TILES, day.tiles, expected.tiles, state, unnamed, state.first_hours_until)


def _corrections(day: Day, expected: Expected, state: State, unnamed: dict[int, int]) -> Iterator[Difference]:
    found = {(hour, known - TEN_MINUTES, seal): rows for (hour, known, seal), rows in day.corrections.items()}
    return _in_buckets(CORRECTIONS, found, expected.corrections, state, unnamed)


def _in_buckets(
    table: str,
    there: Mapping[tuple[int, int, int], Rows],
    expected: Mapping[tuple[int, int], Sums],
    state: State,
    unnamed: dict[int, int],
    first: int = 0,
) -> Iterator[Difference]:
    """Rows that buckets are sealed into, by window, bucket and seal. `unnamed` gets the events from window `first` on
    of buckets without a seal."""
    found = {(window, arrived): rows for window, arrived, rows in _counting(there, state)}
    for window, arrived in sorted(found.keys() | expected.keys()):
        needed = expected.get((window, arrived), NOTHING)
        seal = state.closed("tiles", arrived)
        if seal is not None and arrived + TEN_MINUTES <= state.newest:
            rows = found.get((window, arrived), NO_ROWS)
            if rows.sums != needed:
                yield Difference(table, window, rows.sums, needed, arrived, seal=seal.rows_seal)
        elif ("tiles", arrived) not in state.windows and window >= first:
            unnamed[arrived] += needed.events


def _counting(tiles: Mapping[tuple[int, int, int], Rows], state: State) -> Iterator[tuple[int, int, Rows]]:
    for (window, arrived, seal), rows in tiles.items():
        row = state.windows.get(("tiles", arrived))
        if row is not None and row.rows_seal == seal:
            yield window, arrived, rows


def _hours(day: Day, expected: Expected, state: State) -> Iterator[Difference]:
    known = {hour for kind, hour in state.windows if kind == "hours"}
    for hour in sorted(expected.hours.keys() | {hour for hour, _ in day.hours if hour in known}):
        needed = expected.hours.get(hour, NOTHING)
        window, complete_at = state.closed("hours", hour), state.complete_at(hour)
        if complete_at is None:
            continue
        if window is not None:
            rows = day.hours.get((hour, window.rows_seal), NO_ROWS)
            if rows.sums != needed:
                yield Difference(HOURS, hour, rows.sums, needed, seal=window.rows_seal)
            for name, stated, summed in _stated(window, rows):
                if stated != summed:
                    yield Difference(SEALS, hour, stated, summed, what=f"hours: {name}")
            if window.complete_at != complete_at:
                what = "hours: complete_at"
                yield Difference(SEALS, hour, window.complete_at, complete_at, what=what, is_time=True)
        elif hour not in known:
            yield Difference(SEALS, hour, 0, needed.events, what="hours: no row")


def compare_buckets(tables: Iterable[Mapping[tuple[int, int], Rows]], state: State) -> Iterator[Difference]:
    """Yield buckets whose rows, by bucket and seal in each table, are more than `feature_seals` states.

    It may state more than is there: what arrived for the oldest hours may have been dropped with age.
    """
    summed: dict[int, Rows] = {}
    for table in tables:
        for (bucket, seal), rows in table.items():
            if (window := state.closed("tiles", bucket)) is not None and window.rows_seal == seal:
                before = summed.get(bucket, NO_ROWS)
                summed[bucket] = Rows(before.rows + rows.rows, before.sums + rows.sums)
    for bucket, rows in sorted(summed.items()):
        for name, stated, found in _stated(state.windows["tiles", bucket], rows):
            if stated < found:
                yield Difference(SEALS, bucket, stated, found, bucket, f"tiles: {name}")


def compare_bases(
    hours: Mapping[tuple[int, int], Rows], bases: Mapping[int, Mapping[int, Mapping[str, Rows]]], state: State
) -> Iterator[Difference]:
    """Yield base rows, by day and seal, that are not the sums of the hours before, by hour and seal."""
    published = {hour: window.rows_seal for (kind, hour), window in state.windows.items() if kind == "hours"}
    by_hour = {hour: rows.sums for (hour, seal), rows in hours.items() if published.get(hour) == seal}
    for day, seals in bases.items():
        needed = {
            days: sum((sums for hour, sums in by_hour.items() if day - length * DAY <= hour < day), NOTHING)
            for days, length in zip(DAYS, (7, 30), strict=True)
        }
        if (window := state.closed("base", day)) is not None:
            yield from _base(day, window, seals.get(window.rows_seal, dict.fromkeys(DAYS, NO_ROWS)), needed)
        elif ("base", day) not in state.windows and needed["30d"].events:
            yield Difference(SEALS, day, 0, needed["30d"].events, what="base: no row")


def _base(day: int, window: Window, rows: Mapping[str, Rows], needed: Mapping[str, Sums]) -> Iterator[Difference]:
    for days in DAYS:
        if rows[days].sums != needed[days]:
            yield Difference(BASE, day, rows[days].sums, needed[days], what=days, seal=window.rows_seal)
    for name, stated, found in _stated(window, rows["30d"]):
        if stated != found:
            yield Difference(SEALS, day, stated, found, what=f"base: {name}")


def _stated(window: Window, rows: Rows) -> Iterator[tuple[str, int, int]]:
    """Yields each total: its name, what `feature_seals` states, and what is there."""
    yield from zip(("pins", *MEASURES), window.totals, (rows.rows, *rows.sums.counts), strict=True)
