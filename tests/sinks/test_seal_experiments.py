"""Arms of experiments are sealed with their hours: readers see what cells say, and damage is found (C23, C32)."""

from dataclasses import replace

import numpy as np
import pytest

from pintally.schemas.cells import ExperimentRows
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.settings import Settings
from tests.sinks.sealing import HOUR, TODAY, YESTERDAY, read, reopen_from, some_cells, write
from tests.sinks.test_experiments import People, rows

ASKED = f"experiment = 'checkout', since = {YESTERDAY}, until = {TODAY}"
RESULTS = f"SELECT * FROM experiment_results({ASKED}) ORDER BY metric, arm"
ROLLED_UP = "SELECT DISTINCT toUnixTimestamp(window_start) FROM experiment_hours ORDER BY ALL"
NOW = "SETTINGS mutations_sync = 2"
DAMAGE = {
    "arms were deleted": "DELETE FROM experiment_hours WHERE arm = 'control'",
    "a count was changed": f"ALTER TABLE experiment_hours UPDATE saves = saves + 1 WHERE bucket = 7 {NOW}",
    "two counts cancel out": "ALTER TABLE experiment_hours UPDATE saves = saves + if(arm = 'control', 1, -1)"
    f" WHERE bucket = 7 AND saves > 0 {NOW}",
    "trusted was changed": f"ALTER TABLE experiment_hours UPDATE trusted_saves = 0 WHERE bucket = 9 {NOW}",
    "rows stand twice": "INSERT INTO experiment_hours SELECT * FROM experiment_hours WHERE bucket = 7",
    "cells were deleted": f"ALTER TABLE experiment_cells DELETE WHERE bucket = 7 {NOW}",
    "another check sum was stated": "INSERT INTO sealed SELECT * REPLACE (experiment_sum + 1 AS experiment_sum)"
    " FROM sealed FINAL WHERE experiment_sum != 0",
}


def of_hours(*hours: int, version: int = 9) -> ExperimentRows:
    """The same split of the same people in each of these hours of yesterday."""
    made = rows("checkout", People.drawn(1).split(1))
    return ExperimentRows.concat(
        replace(
            made,
            hour=np.full(len(made), YESTERDAY + hour * HOUR, np.uint32),
            version=np.full(len(made), version, np.uint64),
        )
        for hour in hours
    )


@pytest.fixture
def address(stack: Settings) -> ClickHouseAddress:
    """Two hours with arms, of several with events."""
    write(stack.clickhouse, some_cells())
    write(stack.clickhouse, of_hours(3, 22))
    return stack.clickhouse


def test_readers_see_the_same_from_cells_and_from_sealed_hours(address: ClickHouseAddress) -> None:
    shown = read(address, RESULTS)
    assert len(shown) == 2 * 8
    seal(address, YESTERDAY + 10 * HOUR)
    assert str(read(address, RESULTS)) == str(shown), "one hour from its roll-up, one from cells"
    seal(address, TODAY)
    assert str(read(address, RESULTS)) == str(shown)
    assert read(address, ROLLED_UP) == [(YESTERDAY + 3 * HOUR,), (YESTERDAY + 22 * HOUR,)]
    reopen_from(address, YESTERDAY + 12 * HOUR)
    assert str(read(address, RESULTS)) == str(shown), "the second hour is open again"


def test_sealed_hours_are_read_without_their_cells(address: ClickHouseAddress) -> None:
    shown = read(address, RESULTS)
    seal(address, TODAY)
    read(address, "TRUNCATE TABLE experiment_cells")
    assert str(read(address, RESULTS)) == str(shown)


def test_arms_that_come_alone_open_their_hour_and_correct_it(address: ClickHouseAddress) -> None:
    """As `repair` writes them, where the cells of pins are right."""
    seal(address, TODAY)
    before = read(address, f"SELECT sum(value) FROM experiment_results({ASKED}) WHERE metric = 'saves'")
    late = of_hours(22, version=11)
    write(address, replace(late, events=late.events * np.uint64(2)))
    [(after,)] = read(address, f"SELECT sum(value) FROM experiment_results({ASKED}) WHERE metric = 'saves'")
    assert after == 1.5 * before[0][0]
    assert seal(address, TODAY).corrected == (YESTERDAY + 22 * HOUR,)
    assert read(address, f"SELECT sum(value) FROM experiment_results({ASKED}) WHERE metric = 'saves'") == [(after,)]
    assert seal(address, TODAY).hours == ()


def test_an_hour_with_arms_alone_is_sealed_by_them(stack: Settings) -> None:
    """As on shard 0, whose arms are those of all pins (C33)."""
    address = stack.clickhouse
    write(address, of_hours(3, 22))
    shown = read(address, RESULTS)
    assert len(shown) == 2 * 8
    assert {YESTERDAY + 3 * HOUR, YESTERDAY + 22 * HOUR} < set(seal(address, TODAY).hours)
    read(address, f"ALTER TABLE sealed DELETE WHERE window_start = toDateTime({YESTERDAY + 3 * HOUR}) {NOW}")
    with ClickHouseSink(address).session() as session:
        assert len(session.reopen_unequal()) == 1
        seal(address, TODAY)
        assert session.reopen_unequal() == []
    assert read(address, ROLLED_UP) == [(YESTERDAY + 3 * HOUR,), (YESTERDAY + 22 * HOUR,)]
    read(address, "TRUNCATE TABLE experiment_cells")
    assert str(read(address, RESULTS)) == str(shown)


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_other_hands_changed_is_found_and_sealed_again(address: ClickHouseAddress, statement: str) -> None:
    seal(address, TODAY)
    read(address, statement)
    with ClickHouseSink(address).session() as session:
        assert session.reopen_unequal() != []
        expected = str(read(address, RESULTS))
        seal(address, TODAY)
        assert session.reopen_unequal() == []
    assert str(read(address, RESULTS)) == expected


def test_hours_without_arms_have_no_rows_of_them(stack: Settings) -> None:
    write(stack.clickhouse, some_cells())
    seal(stack.clickhouse, TODAY)
    assert read(stack.clickhouse, ROLLED_UP) == []
    assert read(stack.clickhouse, "SELECT DISTINCT experiment_sum FROM sealed FINAL") == [(0,)]
