"""pin_features at each cut is what adding up the events that had arrived by then gives, to the last bit."""

import random
import re
from datetime import UTC, datetime

import pytest

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from tests.sinks.feature_world import FeatureWorld
from tests.sinks.sealed_cuts import published
from tests.sinks.sealing import read
from tests.support.true_features import DAY, HOUR, TEN, Event, Row, true_features

pytestmark = pytest.mark.engines
NEWEST = "pin_features_latest"


@pytest.fixture(scope="module")
def events(feature_world: FeatureWorld) -> list[Event]:
    return feature_world.events


@pytest.fixture(scope="module")
def address(feature_world: FeatureWorld) -> ClickHouseAddress:
    return feature_world.address


@pytest.fixture(scope="module")
def cuts(address: ClickHouseAddress) -> list[int]:
    return published(address)


def found(address: ClickHouseAddress, view: str, where: str = "1") -> dict[int, Row]:
    """The rows of a view by pin, without `as_of`."""
    return {row[0]: tuple(row[1:-1]) for row in read(address, f"SELECT * FROM {view} WHERE {where}")}


def as_of(address: ClickHouseAddress, cut: int) -> str:
    """The view at the moment when a cut was published."""
    [(moment,)] = read(address, f"SELECT toString(min(published_at)) FROM cuts WHERE cut = toDateTime({cut}, 'UTC')")
    return f"pin_features(as_of = '{moment}')"


def test_at_each_cut_are_the_events_that_had_arrived(
    address: ClickHouseAddress, cuts: list[int], events: list[Event]
) -> None:
    near = {end for event in events for end in (event.arrived_at + TEN, event.arrived_at + 2 * TEN)}
    chosen = random.Random(3).sample(sorted(near & set(cuts)), 16)
    days = [cut for cut in cuts if cut % DAY in (0, HOUR, 2 * HOUR)][-6:]
    for cut in (*chosen, *days, cuts[0], cuts[-1]):
        assert found(address, as_of(address, cut)) == true_features(events, cut), cut


def test_the_newest_cut_is_shown_without_a_moment(
    address: ClickHouseAddress, cuts: list[int], events: list[Event]
) -> None:
    assert found(address, NEWEST) == true_features(events, cuts[-1])
    assert read(address, f"SELECT DISTINCT toUnixTimestamp(as_of) FROM {NEWEST}") == [(cuts[-1],)]


def test_nothing_is_shown_of_a_moment_before_the_first_cut(address: ClickHouseAddress, cuts: list[int]) -> None:
    before, then = (
        f"pin_features(as_of = fromUnixTimestamp64Milli({cuts[0] * 1000 + ms}, 'UTC'))" for ms in (999, 1000)
    )
    assert found(address, before) == {}
    assert found(address, then) != {}


@pytest.mark.parametrize(
    "moment",
    ["now('UTC')", "now64(6, 'UTC')", "(SELECT max(published_at) FROM cuts)", "now('UTC') - INTERVAL 1 SECOND"],
)
def test_a_moment_may_be_an_expression(address: ClickHouseAddress, moment: str) -> None:
    assert found(address, f"pin_features(as_of = {moment})") == found(address, NEWEST)


def test_a_moment_that_is_yet_to_come_is_refused(address: ClickHouseAddress) -> None:
    with pytest.raises(SinkError, match="as_of is in the future"):
        read(address, "SELECT * FROM pin_features(as_of = now('UTC') + INTERVAL 9 HOUR)")


def test_of_two_rows_of_a_cut_the_one_that_was_published_first_holds(
    address: ClickHouseAddress, cuts: list[int], events: list[Event]
) -> None:
    cut = cuts[-1]
    rows = [(cut, cut - 7 * HOUR, datetime.fromtimestamp(cut + second, UTC), 2**40) for second in (1, 2)]
    with Connection(address, 30) as connection:
        connection.insert("cuts", ("cut", "hours_until", "published_at", "seal"), rows)
        try:
            assert found(address, NEWEST) == true_features(events, cut)
        finally:
            connection.execute(f"DELETE FROM cuts WHERE seal = {2**40}")


def test_both_views_have_the_same_columns(address: ClickHouseAddress) -> None:
    views = (NEWEST, "pin_features(as_of = now('UTC'))")
    latest, at_a_moment = ([row[:2] for row in read(address, f"DESCRIBE (SELECT * FROM {view})")] for view in views)
    assert latest == at_a_moment


WORDS = {"_1h": "hour", "_24h": "24 hours", "_7d": "7 days", "_30d": "30 days", "_6h": "2^(-age / 6 h)"}


def test_each_column_says_its_window_and_formula(address: ClickHouseAddress) -> None:
    columns = read(
        address,
        f"SELECT name, comment FROM system.columns WHERE database = currentDatabase() AND table = '{NEWEST}'",
    )
    assert len(columns) == 34
    for name, comment in columns:
        assert all(words in comment for ending, words in WORDS.items() if name.endswith(ending)), name
        assert " / closeups_" in comment or "_rate_" not in name


def granules(address: ClickHouseAddress, sql: str) -> dict[str, tuple[int, int]]:
    """Of each table that is read: granules that are left, and parts that are left."""
    plan = "\n".join(row[0] for row in read(address, f"EXPLAIN indexes = 1 {sql}"))
    reads = re.split(r"ReadFromMergeTree \(\w+\.", plan)[1:]
    return {
        each.split(")")[0]: (
            int(re.findall(r"Granules: (\d+)/", each)[-1]),
            int(re.findall(r"Parts: (\d+)/", each)[-1]),
        )
        for each in reads
    }


@pytest.fixture(scope="module")
def wide(address: ClickHouseAddress, cuts: list[int]) -> ClickHouseAddress:
    """100,000 pins beside those that count, in the windows that are read and in others."""
    until = (cuts[-1] - HOUR) // HOUR * HOUR
    day = until // DAY * DAY
    many = "SELECT number * 1000003 + 1000, toDateTime({}, 'UTC')"
    for age in (0, 3 * DAY, 9 * DAY):
        tiles = f"{many.format(until - age)}, toDateTime({until - age}, 'UTC'), 1"
        read(address, f"INSERT INTO pin_tiles (pin_id, window_start, arrived_at, seal) {tiles} FROM numbers(100000)")
        for table, column, start in (("pin_hours_by_pin", "window_start", day), ("pin_base", "day", day)):
            rows = f"{many.format(start - age)}, 1 FROM numbers(100000)"
            read(address, f"INSERT INTO {table} (pin_id, {column}, seal) {rows}")
    for table in ("pin_tiles", "pin_hours_by_pin", "pin_base"):
        read(address, f"OPTIMIZE TABLE {table} FINAL")
    return address


PARTS = {"pin_tiles": 1, "pin_hours_by_pin": 2, "pin_base": 1}  # two weeks, if a day of them is Monday
MANY = ", ".join(str(place * 200 * 1000003 + 1000) for place in range(500))


@pytest.mark.parametrize("view", [NEWEST, "pin_features(as_of = (SELECT max(cut) + 60 FROM cuts))"])
@pytest.mark.parametrize(
    ("pins", "most"), [("pin_id = 7", 1), ("pin_id IN (7, 70001000)", 2), (f"pin_id IN ({MANY})", 500)]
)
def test_nothing_but_the_granules_of_the_pins_is_read(wide: ClickHouseAddress, view: str, pins: str, most: int) -> None:
    left = granules(wide, f"SELECT * FROM {view} WHERE {pins}")
    assert len(left.keys() & PARTS) == len(PARTS)
    for table, parts in PARTS.items():
        assert left[table][1] <= parts, table
        assert left[table][0] <= min(most, 100_000 // 256) * parts, table
