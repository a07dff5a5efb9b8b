"""Breakdowns are sealed with their hours and days, whatever labels say, and what is damaged is found."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from pintally.schemas.cells import CellRows, PinMinuteRows
from pintally.schemas.dimensions import Dimension
from pintally.schemas.label_column import UNKNOWN, LabelColumn
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COUNTS
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.reads.counts import read_counts
from pintally.streams.settings import Settings
from tests.sinks.sealing import DAY, HOUR, TODAY, YESTERDAY, disagreements, read, reopen_from, some_cells, write
from tests.support.cells import cells
from tests.support.engines import TestEngines, tables

HOSTILE = ("it's", 'say "home"', "back\\slash", "line\nbreak", "nul\0", "%(start)s", "{column}", "ünï😀" * 9, "--", "%")
NOW = "SETTINGS mutations_sync = 2"
DAMAGE = {
    "a breakdown was deleted": "DELETE FROM pin_hour_breakdowns WHERE label = 'home'",
    "a breakdown of a day was deleted": "DELETE FROM pin_day_breakdowns WHERE dimension = 'platform'",
    "a count of a breakdown was changed": f"ALTER TABLE pin_hour_breakdowns UPDATE saves = saves + 1 WHERE 1 {NOW}",
    "two counts of a breakdown cancel out": "ALTER TABLE pin_hour_breakdowns UPDATE saves = saves +"
    f" if(label = 'home', 1, -1) WHERE dimension = 'surface' AND pin_id = 7 AND label IN ('home', 'search') {NOW}",
    "trusted of a breakdown was changed": f"ALTER TABLE pin_day_breakdowns UPDATE trusted_saves = 0 WHERE 1 {NOW}",
    "trusted of an hour was changed": f"ALTER TABLE pin_hours UPDATE trusted_closeups = 0 WHERE 1 {NOW}",
    "trusted of a day was changed": f"ALTER TABLE pin_days UPDATE trusted_saves = 0 WHERE 1 {NOW}",
    "rows stand twice": "INSERT INTO pin_hour_breakdowns SELECT * FROM pin_hour_breakdowns WHERE pin_id = 8",
}


@pytest.fixture
def address(stack: Settings) -> ClickHouseAddress:
    write(stack.clickhouse, some_cells())
    return stack.clickhouse


@pytest.fixture(scope="module")
def sealed(engines: TestEngines) -> Iterator[ClickHouseAddress]:
    """The same cells, sealed. Each test seals again what it changes."""
    with tables(engines.addresses) as address:
        write(address, some_cells())
        seal(address, TODAY)
        yield address


def labelled(surface: str, events: int, version: int = 10, platform: str = "web") -> CellRows:
    minute = YESTERDAY + 5 * HOUR
    return cells((1, 1, YESTERDAY, 1, minute, 70, events, version, surface, platform, events // 2))


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_other_hands_changed_is_found_and_sealed_again(sealed: ClickHouseAddress, statement: str) -> None:
    read(sealed, statement)
    assert disagreements(sealed) != []
    with ClickHouseSink(sealed).session() as session:
        assert len(session.reopen_unequal()) > 0
        assert disagreements(sealed) == []
        seal(sealed, TODAY)
        assert session.reopen_unequal() == []
    assert disagreements(sealed) == []


def test_a_stated_check_sum_that_is_not_that_of_the_rows_is_found(sealed: ClickHouseAddress) -> None:
    changed = "SELECT * REPLACE (breakdown_sum + 1 AS breakdown_sum) FROM sealed FINAL WHERE resolution = 'day'"
    read(sealed, f"INSERT INTO sealed {changed}")
    with ClickHouseSink(sealed).session() as session:
        assert session.reopen_unequal() != []
        seal(sealed, TODAY)
        assert session.reopen_unequal() == []


def test_cells_that_move_to_another_label_correct_their_hour_though_its_counts_stay(address: ClickHouseAddress) -> None:
    write(address, labelled("home", 6))
    seal(address, TODAY)
    write(address, together(labelled("home", 0, 20), labelled("search", 6, 20)))
    assert disagreements(address) == []
    assert seal(address, TODAY).corrected == (YESTERDAY + 5 * HOUR,)
    assert disagreements(address) == []
    of_pin = "FROM pin_breakdown_1d WHERE pin_id = 70 AND dimension = 'surface'"
    assert read(address, f"SELECT label, saves, trusted_saves, is_final {of_pin}") == [("search", 6, 3, True)]


def together(*parts: CellRows) -> CellRows:
    return type(parts[0]).concat(parts)


def test_labels_are_what_events_say_whatever_it_is(address: ClickHouseAddress) -> None:
    parts = [labelled(label, 2 + at, platform=label[::-1]) for at, label in enumerate(HOSTILE)]
    write(address, together(*parts))
    for until in (YESTERDAY, TODAY, TODAY + HOUR):  # from minutes, from hours, from days
        seal(address, until)
        assert disagreements(address) == []
        for view in ("pin_breakdown_1h", "pin_breakdown_1d"):
            shown = read(address, f"SELECT label, saves FROM {view} WHERE pin_id = 70 AND dimension = 'surface'")
            assert sorted(shown) == sorted((label, 2 + at) for at, label in enumerate(HOSTILE))


WITHOUT = {"hour": "pin_hour_breakdowns", "day": "pin_day_breakdowns"}


def test_windows_without_labels_have_no_breakdowns_and_readers_see_them_as_unknown(stack: Settings) -> None:
    address = stack.clickhouse
    write(address, plain_cells())
    for until in (YESTERDAY, YESTERDAY + 9 * HOUR, TODAY):
        seal(address, until)
        assert disagreements(address) == []
    for resolution, table in WITHOUT.items():
        assert read(address, f"SELECT count() FROM {table}") == [(0,)]
        stated = f"SELECT DISTINCT breakdown_sum FROM sealed FINAL WHERE resolution = '{resolution}' AND pins > 0"
        assert read(address, stated) == [(0,)]
    for resolution in ("1h", "1d"):
        final = f"FROM pin_breakdown_{resolution} WHERE is_final GROUP BY dimension, label ORDER BY dimension"
        assert read(address, f"SELECT dimension, label, sum(saves) {final}") == [
            ("surface", "unknown", 9),
            ("platform", "unknown", 9),
        ]
    with ClickHouseSink(address).session() as session:
        assert session.reopen_unequal() == []


@pytest.mark.parametrize("until", [TODAY - HOUR, TODAY])
def test_one_label_in_a_window_without_any_has_it_sealed_by_label(stack: Settings, until: int) -> None:
    address = stack.clickhouse
    write(address, plain_cells())
    seal(address, until)
    write(address, labelled("home", 6))
    assert disagreements(address) == []
    seal(address, until)
    assert disagreements(address) == []
    found = read(address, "SELECT DISTINCT toUnixTimestamp(window_start) FROM pin_hour_breakdowns")
    assert found == [(YESTERDAY + 5 * HOUR,)]
    of_day = "FROM pin_day_breakdowns WHERE pin_id = 70 AND dimension = 'surface'"
    assert read(address, f"SELECT label, saves {of_day}") == ([("home", 6)] if until == TODAY else [])
    with ClickHouseSink(address).session() as session:
        assert session.reopen_unequal() == []


def test_labels_that_other_hands_gave_a_window_without_any_are_found_and_sealed(stack: Settings) -> None:
    address = stack.clickhouse
    write(address, plain_cells())
    seal(address, TODAY)
    read(address, f"INSERT INTO pin_minutes SELECT * REPLACE ('tv' AS surface) FROM pin_minutes WHERE pin_id = 8 {NOW}")
    read(address, f"ALTER TABLE pin_minutes DELETE WHERE pin_id = 8 AND surface != 'tv' {NOW}")
    assert disagreements(address) != []
    with ClickHouseSink(address).session() as session:
        assert len(session.reopen_unequal()) > 0
        seal(address, TODAY)
        assert session.reopen_unequal() == []
    assert disagreements(address) == []


def plain_cells() -> PinMinuteRows:
    """Those of `some_cells`, as they are without a breakdown."""
    rows = some_cells()
    unknown = LabelColumn.of([UNKNOWN] * len(rows))
    return replace(rows, surface=unknown, platform=unknown)


RANGES = ((YESTERDAY - 3 * DAY, TODAY + DAY), (YESTERDAY + 3 * HOUR, TODAY), (YESTERDAY, TODAY))
PINS = (None, (8, 7), (8, 12345))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("opened", [False, True])
def test_what_is_read_without_the_views_is_what_they_show(stack: Settings, plain: bool, opened: bool) -> None:
    address = stack.clickhouse
    write(address, plain_cells() if plain else some_cells())
    write(address, some_cells(start=YESTERDAY - 2 * DAY))
    for until in (YESTERDAY - 4 * DAY, TODAY - 2 * DAY, TODAY):
        seal(address, until)
        if opened:
            reopen_from(address, YESTERDAY + 4 * HOUR)
        with Connection(address, 30) as connection:
            for resolution in ("1h", "1d"):
                assert_read_as_shown(connection, resolution)


def assert_read_as_shown(connection: Connection, resolution: str) -> None:
    """By each dimension, of some ranges and pins; and the view shows the same rows where it is asked for some."""
    columns = f"toString(dimension), toUnixTimestamp(window_start), pin_id, label, {COUNTS}, is_final"
    view = f"SELECT {columns} FROM pin_breakdown_{resolution}"
    ordered = "ORDER BY window_start, pin_id, label"
    shown = connection.rows(f"{view} {ordered}")
    asked_for = f"dimension = 'surface' AND window_start >= fromUnixTimestamp({RANGES[1][0]}) AND pin_id IN (8, 7)"
    some = [row for row in shown if row[0] == "surface" and row[1] >= RANGES[1][0] and row[2] in (8, 7)]
    assert connection.rows(f"{view} WHERE {asked_for} {ordered}") == some != []
    for by, (start, end), pins in product(Dimension, RANGES, PINS):
        expected = [
            row
            for dimension, *row in shown
            if dimension == by.column and start <= row[0] < end and (pins is None or row[1] in pins)
        ]
        asked = None if pins is None else np.array(pins, np.uint64)
        found = read_counts(connection, resolution, start * 10**6, end * 10**6, asked, by)
        found["window_start"] = found["window_start"].astype("datetime64[s]").astype(np.int64)
        assert list(zip(*(column.tolist() for column in found.values()), strict=True)) == list(map(tuple, expected))
