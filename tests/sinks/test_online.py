"""Features that the Python reader adds up are those of the view, at each cut, to the last bit."""

import random

import numpy as np
import pytest
from numpy.typing import NDArray

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads import online_sql, seals
from pintally.sinks.reads.cuts import Cut, read_cut
from pintally.sinks.reads.online import feature_types, read_features, read_online
from pintally.sinks.reads.online_sums import Rows, weights_of
from pintally.sinks.reads.seals import Seals
from pintally.streams.settings import Settings
from tests.sinks.feature_world import PINS, FeatureWorld, as_cells
from tests.sinks.sealed_cuts import published, sealed
from tests.sinks.sealing import TODAY, read
from tests.support.true_features import DAY, HOUR, TEN, Event, Row, true_features

pytestmark = pytest.mark.engines
ALL = np.arange(PINS + 3, dtype=np.uint64)


@pytest.fixture(scope="module")
def events(feature_world: FeatureWorld) -> list[Event]:
    return feature_world.events


@pytest.fixture(scope="module")
def address(feature_world: FeatureWorld) -> ClickHouseAddress:
    return feature_world.address


def added_up(connection: Connection, cut: Cut, pins: NDArray[np.uint64] = ALL) -> dict[int, Row]:
    """The features of each pin, by pin."""
    columns = read_features(connection, cut, pins, feature_types())
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return {int(pin): tuple(None if x != x else x for x in row) for pin, row in zip(pins, rows, strict=True)}


def without_silent(rows: dict[int, Row]) -> dict[int, Row]:
    return {pin: row for pin, row in rows.items() if any(row)}


def test_at_each_cut_they_are_what_had_arrived_and_what_the_view_shows(
    address: ClickHouseAddress, events: list[Event]
) -> None:
    cuts = published(address)
    near = {end for event in events for end in (event.arrived_at + TEN, event.arrived_at + 2 * TEN)}
    days = [cut for cut in cuts if cut % DAY in (0, HOUR, 2 * HOUR)][-6:]
    chosen = random.Random(4).sample(sorted(near & set(cuts)), 16)
    rows = read(
        address, "SELECT toUnixTimestamp(cut), toUnixTimestamp(hours_until), min(published_at) FROM cuts GROUP BY 1, 2"
    )
    known = {cut: Cut(cut, until, at) for cut, until, at in rows}
    with Connection(address, 60, only_reads=True) as connection:
        for cut in (*chosen, *days, cuts[0], cuts[-1]):
            found = without_silent(added_up(connection, known[cut]))
            assert found == true_features(events, cut), cut
            view = f"pin_features(as_of = fromUnixTimestamp64Milli({known[cut].published_ms}, 'UTC'))"
            assert found == {row[0]: tuple(row[1:-1]) for row in read(address, f"SELECT * FROM {view}")}, cut


def test_a_pin_has_the_same_row_whoever_is_asked_with_it(address: ClickHouseAddress) -> None:
    with Connection(address, 60, only_reads=True) as connection:
        cut = read_cut(connection)
        together = added_up(connection, cut)
        assert {pin: added_up(connection, cut, np.array([pin], np.uint64))[pin] for pin in (1, 7, 40)} == {
            pin: together[pin] for pin in (1, 7, 40)
        }


def test_weights_are_those_of_clickhouse_at_every_age(address: ClickHouseAddress) -> None:
    ages = np.arange(-3 * DAY, 2 * DAY, TEN)  # after 0 where a producer's clock is ahead
    sql = (
        "SELECT groupArray(toUInt64(round(1048576 * exp2((toInt64(number) * 600 - 259200) / 21600)))) FROM numbers(720)"
    )
    [(theirs,)] = read(address, sql)
    assert weights_of(ages).tolist() == list(theirs)


def test_rows_of_a_sealing_that_does_not_hold_are_left_out() -> None:
    columns = [(table, 5, 3600, seal, 1, 1, 1, 9, 9, 9) for table in range(online_sql.TABLES) for seal in (1, 2, 3)]
    known = Seals.of(7200, 0, [6600, 7200], [1, 2], [3])  # the second bucket is not before the cut
    rows = Rows.of(list(zip(*columns, strict=True)), known, ("saves", "clicks", "closeups"))
    assert rows.table.tolist() == [online_sql.TILES, online_sql.HOURS, online_sql.CORRECTIONS, online_sql.BASE]
    assert len(rows.pins) == len(rows.counts["saves"]) == len(rows.months["closeups"]) == online_sql.TABLES


@pytest.mark.parametrize("seals_are", ["new", "of before the cut"])
def test_the_newest_cut_is_read_with_its_seals(
    address: ClickHouseAddress, monkeypatch: pytest.MonkeyPatch, seals_are: str
) -> None:
    if seals_are != "new":  # as if ClickHouse had looked at seals before it looked at cuts
        late = seals.NEWEST.replace(
            "WHERE rows_seal > 0", "WHERE rows_seal > 0 AND window_start < (SELECT max(cut) FROM cuts) - 600"
        )
        assert late != seals.NEWEST
        monkeypatch.setattr(seals, "NEWEST", late)
    with Connection(address, 60, only_reads=True) as connection:
        cut, columns = read_online(connection, ALL, feature_types())
        assert cut == read_cut(connection)
        expected = read_features(connection, cut, ALL, feature_types())
    for name, values in columns.items():
        np.testing.assert_array_equal(values, expected[name])


def test_a_cut_that_is_published_meanwhile_changes_no_answer(stack: Settings) -> None:
    address, last = stack.clickhouse, TODAY - 6 * HOUR
    chance = random.Random(2)
    events = [
        Event(last - TEN, last - TEN + 60 * chance.randrange(-20, 10), pin % 9 + 1, pin % 3 + 1) for pin in range(60)
    ]
    later = [Event(last, event.minute + TEN, event.pin, event.action, 3) for event in events]
    sealed(address, as_cells(events), until=last)
    with Connection(address, 60) as connection:
        cut = read_cut(connection)
        sealed(address, as_cells([*events, *later]), until=last + TEN)
        assert cut.moment == last
        assert without_silent(added_up(connection, cut)) == true_features(events, last)
        assert without_silent(added_up(connection, read_cut(connection))) == true_features(
            [*events, *later], last + TEN
        )
