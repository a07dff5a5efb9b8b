"""A small world of cells, and the tables of features written by hand as docs/decisions/0017 says."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any

from pintally.schemas.actions import Action
from pintally.schemas.label_column import UNKNOWN
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS, COUNTED
from pintally.sinks.clickhouse.sink import ClickHouseSink
from tests.sinks.sealing import DAY, HOUR, YESTERDAY
from tests.support.cells import cells
from tests.support.kept import Kept

TEN = 600
FIRST = YESTERDAY - 3 * HOUR  # the first bucket
CUTS = range(FIRST + TEN, FIRST + 6 * HOUR + TEN, TEN)
NEWEST = CUTS[-1]
LISTED = 3  # pins in tops
TABLES = ("pin_minutes", "pin_tiles", "pin_hours_by_pin", "pin_corrections", "pin_base", "hour_tops", "tile_tops",
          "feature_seals", "cuts")  # fmt: skip
Counts = tuple[int, ...]  # as COUNTED names them
Cell = tuple[Any, ...]
NOTHING: Counts = (0,) * len(COUNTED)
Rows = dict[tuple[int, ...], Counts]


def hours_until(cut: int) -> int:
    """End of the complete hours, with a lateness of an hour."""
    return (cut - HOUR) // HOUR * HOUR


def complete_at(hour: int) -> int:
    """The first of CUTS at which an hour is complete."""
    return max(CUTS[0], hour + 2 * HOUR)


def some_cells(seed: int = 1, count: int = 900) -> list[Cell]:
    """Rows of `cells`; one in ten is of a complete hour."""
    chance = Random(seed)
    found = []
    for number in range(count):
        arrived = chance.randrange(FIRST, NEWEST + 2 * TEN, TEN)
        delay = chance.randrange(0, HOUR) if chance.random() < 0.9 else chance.randrange(3 * HOUR, 9 * HOUR)
        minute = (arrived - delay) // 60 * 60
        action, pin, events = chance.randint(1, 3), chance.randint(1, 9), chance.randint(1, 5)
        trusted = chance.randint(0, events) if number % 3 == 0 else events
        found.append((1, number, arrived, action, minute, pin, events, 10, UNKNOWN, UNKNOWN, trusted))
    return found


class World:
    """The tables, filled from cells."""

    def __init__(self, address: ClickHouseAddress) -> None:
        self.address = address
        self.seal = 0
        self.seals: list[tuple[Any, ...]] = []

    def fill(self) -> None:
        """Write cells, and all that is known of them at the newest cut."""
        known = some_cells()
        with ClickHouseSink(self.address).session() as session:
            session.write_cells(cells(*known))
        with Connection(self.address, 30) as connection:
            self._fill(connection, known)
        self.kept = Kept(self.address, TABLES)

    def restore(self) -> None:
        """Everything as it was filled."""
        self.kept.restore()

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """A statement; what it changes is changed when it returns."""
        with Connection(self.address, 30, settings={"mutations_sync": 2}) as connection:
            return connection.rows(query)

    def _fill(self, connection: Connection, known: list[Cell]) -> None:
        tiles, corrections, hours = _split(known)
        for bucket in range(CUTS[0] - TEN, NEWEST, TEN):
            self._tiles(connection, bucket, tiles[bucket], corrections[bucket])
        for hour in sorted(hours):
            self._hours(connection, hour, hours[hour])
        for day in range(YESTERDAY - DAY, hours_until(NEWEST) + 1, DAY):
            self._base(connection, day, hours)
        columns = ("kind", "window_start", "seal", "rows_seal", "is_open", "corrected", "complete_at", "pins", *COUNTED)
        connection.insert("feature_seals", columns, self.seals)
        published = [(cut, hours_until(cut), (cut + 301) * 1000, 1) for cut in CUTS]
        connection.insert("cuts", ("cut", "hours_until", "published_at", "seal"), published)

    def _publish(self, kind: str, start: int, complete: int, rows: list[Counts]) -> None:
        sums = (sum(row[place] for row in rows) for place in range(len(COUNTED)))
        self.seals.append((kind, start, self.seal, self.seal, False, False, complete, len(rows), *sums))

    def _tiles(self, connection: Connection, bucket: int, tiles: Rows, corrections: Rows) -> None:
        self.seal += 1
        for table, last, rows, add in (
            ("pin_tiles", "arrived_at", tiles, 0), ("pin_corrections", "known_from", corrections, TEN)
        ):  # fmt: skip
            connection.insert(
                table,
                ("pin_id", "window_start", last, *COUNTED, "seal"),
                [(pin, start, bucket + add, *counts, self.seal) for (start, pin), counts in rows.items()],
            )
        self._publish("tiles", bucket, bucket + TEN, [*tiles.values(), *corrections.values()])
        names = ("arrived_at", "window_start", "is_rest", "pin_id", *COUNTED, "events", "trusted", "seal")
        by_window: dict[int, dict[int, Counts]] = defaultdict(dict)
        for (start, pin), counts in tiles.items():
            by_window[start][pin] = counts
        for start, rows_of in by_window.items():
            tops = [(bucket, start, *row, self.seal) for row in _tops(rows_of)]
            connection.insert("tile_tops", names, tops)

    def _hours(self, connection: Connection, hour: int, rows: dict[int, Counts]) -> None:
        self.seal += 1
        connection.insert(
            "pin_hours_by_pin",
            ("pin_id", "window_start", *COUNTED, "seal"),
            [(pin, hour, *counts, self.seal) for pin, counts in rows.items()],
        )
        self._publish("hours", hour, complete_at(hour), list(rows.values()))
        names = ("window_start", "is_rest", "pin_id", *COUNTED, "events", "trusted", "seal")
        connection.insert("hour_tops", names, [(hour, *row, self.seal) for row in _tops(rows)])

    def _base(self, connection: Connection, day: int, hours: dict[int, dict[int, Counts]]) -> None:
        self.seal += 1
        sums = {}
        for days in (7, 30):
            sums[days] = _added(
                (pin, counts)
                for hour, rows in hours.items()
                if day - days * DAY <= hour < day
                for pin, counts in rows.items()
            )
        names = [f"{name}_{days}d" for name in COUNTED for days in (7, 30)]
        rows = []
        for pin, month in sums[30].items():
            week = sums[7].get(pin, NOTHING)
            rows.append(
                (day, pin, *(counts[place] for place in range(len(COUNTED)) for counts in (week, month)), self.seal)
            )
        connection.insert("pin_base", ("day", "pin_id", *names, "seal"), rows)
        self._publish("base", day, day + 2 * HOUR, list(sums[30].values()))


def _split(known: list[Cell]) -> tuple[dict[int, Rows], dict[int, Rows], dict[int, dict[int, Counts]]]:
    """By bucket the tiles and the corrections, and by hour the rows of pins."""
    tiles: dict[int, Counter[tuple[int, int, str]]] = defaultdict(Counter)
    corrections: dict[int, Counter[tuple[int, int, str]]] = defaultdict(Counter)
    hours: dict[int, Counter[tuple[int, str]]] = defaultdict(Counter)
    for _, _, arrived, action, minute, pin, events, _, _, _, trusted in known:
        hour = minute // HOUR * HOUR
        if arrived >= NEWEST:
            continue
        column = Action(action).column
        for name, number in ((column, events), (f"trusted_{column}", trusted)):
            if arrived >= complete_at(hour):
                corrections[arrived][hour, pin, name] += number
                continue
            tiles[arrived][minute // TEN * TEN, pin, name] += number
            if complete_at(hour) <= NEWEST:
                hours[hour][pin, name] += number
    by_pin = {hour: _counts({(pin,): None for pin, _ in found}, found) for hour, found in hours.items()}
    return (
        defaultdict(dict, {at: _counts({key[:2]: None for key in found}, found) for at, found in tiles.items()}),
        defaultdict(dict, {at: _counts({key[:2]: None for key in found}, found) for at, found in corrections.items()}),
        {hour: {key[0]: counts for key, counts in rows.items()} for hour, rows in by_pin.items()},
    )


def _counts(keys: dict[tuple[int, ...], None], found: Counter[Any]) -> Rows:
    return {key: tuple(found[*key, name] for name in COUNTED) for key in keys}


def _added(rows: Iterator[tuple[int, Counts]]) -> dict[int, Counts]:
    added: dict[int, Counts] = {}
    for pin, counts in rows:
        added[pin] = tuple(map(sum, zip(added.get(pin, NOTHING), counts, strict=True)))
    return added


def _tops(rows: dict[int, Counts]) -> list[tuple[Any, ...]]:
    ordered = sorted(((pin, _with_totals(counts)) for pin, counts in rows.items()), key=lambda row: -row[1][-2])
    listed, rest = ordered[:LISTED], [counts for _, counts in ordered[LISTED:]]
    bound = tuple(map(max, zip(*rest, strict=True))) if rest else _with_totals(NOTHING)
    return [(False, pin, *counts) for pin, counts in listed] + [(True, 0, *bound)]


def _with_totals(counts: Counts) -> Counts:
    events, trusted = counts[: len(COLUMNS)], counts[len(COLUMNS) :]
    return (*counts, sum(events), sum(trusted))
