"""Tables of what is known at cuts, filled as decision 17 says, without sealing; and what readers must find in them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pintally.schemas.actions import Action
from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.label_column import UNKNOWN
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COUNTED
from pintally.sinks.reads.ranking import Ranking
from tests.sinks.sealing import DAY, HOUR, TODAY
from tests.support.cells import cells

TEN = 600
FIRST = TODAY - 2 * DAY  # of the days in these tests
LATENESS = HOUR
TABLES = (
    "pin_tiles", "pin_hours_by_pin", "pin_corrections", "hour_tops", "tile_tops", "feature_seals", "cuts"
)  # fmt: skip

Counts = tuple[int, ...]  # as COUNTED names them
Rows = dict[tuple[int, ...], Counter[str]]


@dataclass(frozen=True, slots=True)
class Fact:
    """Events of one pin and action: when they arrived and when they happened, in seconds since 1970."""

    arrived: int  # a multiple of ten minutes
    happened: int  # a multiple of ten minutes
    pin: int
    action: Action
    events: int = 1
    untrusted: int = 0  # so many of them

    @property
    def counts(self) -> Counter[str]:
        """By column."""
        column = self.action.column
        return Counter({column: self.events, f"trusted_{column}": self.events - self.untrusted})


def hours_until(cut: int) -> int:
    """The end of the last hour that is complete at a cut."""
    return (cut - LATENESS) // HOUR * HOUR


def published_at(cut: int) -> datetime:
    """When readers see a cut: seven seconds after it."""
    return datetime.fromtimestamp(cut + 7, UTC)


def cells_of(facts: Sequence[Fact]) -> PinMinuteRows:
    """A cell for each fact."""
    rows = [
        (
            1,
            n,
            fact.arrived,
            fact.action,
            fact.happened,
            fact.pin,
            fact.events,
            1,
            UNKNOWN,
            UNKNOWN,
            fact.events - fact.untrusted,
        )
        for n, fact in enumerate(facts)
    ]
    return cells(*rows)


def truth(facts: Iterable[Fact], cut: int, start: int, end: int, by: Ranking, k: int) -> list[tuple[int, Counts]]:
    """The top k pins of [start, end) among what arrived before the cut, by adding up."""
    sums: dict[int, Counter[str]] = {}
    for fact in facts:
        if fact.arrived < cut and start <= fact.happened < end:
            sums.setdefault(fact.pin, Counter()).update(fact.counts)
    found = [(pin, tuple(counts[name] for name in COUNTED)) for pin, counts in sums.items()]
    weights = {pin: by.of(counts) for pin, counts in found}
    return sorted((row for row in found if weights[row[0]]), key=lambda row: (-weights[row[0]], row[0]))[:k]


def fill(address: ClickHouseAddress, facts: Sequence[Fact], first_cut: int, last_cut: int, listed: int = 3) -> None:
    """Fill all tables for the cuts of [first, last]; a list names the `listed` heaviest pins.

    Beside the rows that count there are rows of a sealing that was never published, with higher counts.
    """
    tiles, hours, corrections = _split([fact for fact in facts if fact.arrived < last_cut], last_cut)
    with Connection(address, 60) as connection:
        for table in TABLES:
            connection.execute(f"TRUNCATE TABLE {table}")
        _insert(connection, "pin_tiles", ("arrived_at", "window_start", "pin_id"), tiles)
        _insert(connection, "pin_hours_by_pin", ("window_start", "pin_id"), hours)
        _insert(connection, "pin_corrections", ("arrived", "window_start", "pin_id"), corrections)
        _lists(connection, "tile_tops", ("arrived_at", "window_start"), tiles, listed)
        _lists(connection, "hour_tops", ("window_start",), hours, listed)
        _publish(connection, first_cut, last_cut)


def _split(facts: Sequence[Fact], last_cut: int) -> tuple[Rows, Rows, Rows]:
    tiles: Rows = {}
    hours: Rows = {}
    corrections: Rows = {}
    for fact in facts:
        hour = fact.happened // HOUR * HOUR
        if hour < hours_until(fact.arrived):
            found = [corrections.setdefault((fact.arrived, hour, fact.pin), Counter())]
        else:
            found = [tiles.setdefault((fact.arrived, fact.happened, fact.pin), Counter())]
            if hour < hours_until(last_cut):
                found.append(hours.setdefault((hour, fact.pin), Counter()))
        for counts in found:
            counts.update(fact.counts)
    return tiles, hours, corrections


def _insert(connection: Connection, table: str, keys: Sequence[str], rows: Rows) -> None:
    """Rows begin with the window that is sealed: an hour, or a bucket. Its number is its seal."""
    moved = TEN if keys[0] == "arrived" else 0  # a correction is known from the end of its bucket
    names = ["known_from" if name == "arrived" else name for name in keys]
    values = []
    for (window, *others), counts in rows.items():
        events = [counts[name] for name in COUNTED]
        values.append((window + moved, *others, *events, _seal(window, len(keys))))
        values.append((window + moved, *others, *(7_000 + each for each in events), 7))
    connection.insert(table, (*names, *COUNTED, "seal"), values)


def _seal(window: int, keys: int) -> int:
    return window // (HOUR if keys == 2 else TEN)


def _lists(connection: Connection, table: str, keys: Sequence[str], rows: Rows, listed: int) -> None:
    lists: dict[tuple[int, ...], list[tuple[int, Counts]]] = {}
    for (*windows, pin), counts in rows.items():
        lists.setdefault(tuple(windows), []).append((pin, tuple(counts[name] for name in COUNTED)))
    values: list[tuple[int | bool, ...]] = []
    for place, (key, pins) in enumerate(lists.items()):
        pins.sort(key=lambda row: -Ranking().of(row[1]))
        left = [_with_totals(counts) for _, counts in pins[listed:]]
        rest = tuple(map(max, zip(*left, strict=True))) if left else (0,) * (len(COUNTED) + 2)
        seal = _seal(key[0], len(key) + 1)
        if left or place % 2:  # a list that leaves nobody out may say so, or not
            values.append((*key, True, 0, *rest, seal))
        values.extend((*key, False, pin, *_with_totals(counts), seal) for pin, counts in pins[:listed])
        values.append((*key, False, 999, *(9_000 for _ in rest), 7))
    connection.insert(table, (*keys, "is_rest", "pin_id", *COUNTED, "events", "trusted", "seal"), values)


def _with_totals(counts: Counts) -> Counts:
    return (*counts, Ranking().of(counts), Ranking(trusted=True).of(counts))


def _publish(connection: Connection, first_cut: int, last_cut: int) -> None:
    zeros = (0,) * len(COUNTED)
    hours = range(FIRST, hours_until(last_cut), HOUR)
    buckets = range(FIRST, last_cut, TEN)
    seals = [("hours", hour, _seal(hour, 2), hour + HOUR + LATENESS) for hour in hours]
    seals += [("tiles", bucket, _seal(bucket, 3), bucket + TEN) for bucket in buckets]
    connection.insert(
        "feature_seals",
        ("kind", "window_start", "seal", "rows_seal", "is_open", "corrected", "complete_at", "pins", *COUNTED),
        [(kind, start, seal, seal, False, False, at, 1, *zeros) for kind, start, seal, at in seals],
    )
    connection.insert(
        "cuts",
        ("cut", "hours_until", "published_at", "seal"),
        [(cut, hours_until(cut), published_at(cut), 0) for cut in range(first_cut, last_cut + 1, TEN)],
    )
