"""Verify names each way in which the tables of features can differ from the cells, and finds nothing else."""

from collections.abc import Iterator

import pytest

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.features.check import check_features, count_windows
from pintally.audit.findings import Finding, Kind
from pintally.audit.words import utc
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.settings import Settings
from tests.audit.feature_world import CUTS, FIRST, NEWEST, TEN, World, hours_until
from tests.sinks.sealing import DAY, HOUR, YESTERDAY
from tests.support.engines import TestEngines, own_tables

HOUR_OF = FIRST + HOUR  # complete, with cells
BUCKET = FIRST + 7 * TEN


class Audited(World):
    """A world, and what the audit says of it."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.clickhouse)
        self.addresses = addresses_of(settings)

    def check(self, since: int = 0) -> list[Finding]:
        with ClickHouse(self.addresses) as clickhouse:
            return check_features(clickhouse, since)

    def count(self, since: int = 0) -> int:
        with ClickHouse(self.addresses) as clickhouse:
            return count_windows(clickhouse, since)


@pytest.fixture(scope="module")
def shared(engines: TestEngines) -> Iterator[Audited]:
    with own_tables(engines.addresses) as settings:
        world = Audited(settings)
        world.fill()
        yield world


@pytest.fixture
def world(shared: Audited, monkeypatch: pytest.MonkeyPatch) -> Iterator[Audited]:
    monkeypatch.setattr("pintally.audit.looks.LOOKS", 1)
    yield shared
    shared.restore()


def test_what_is_written_as_the_decision_says_is_exact(world: Audited) -> None:
    assert world.check() == []
    assert world.count() == len(world.seals)
    for table in ("pin_tiles", "pin_corrections", "pin_hours_by_pin", "pin_base", "hour_tops", "tile_tops"):
        assert world.sql(f"SELECT count() > 0 FROM {table}") == [(1,)]


WHERE = {
    "pin_tiles": f"arrived_at = {BUCKET}",
    "pin_hours_by_pin": f"window_start = {HOUR_OF}",
    "pin_corrections": f"known_from > {YESTERDAY}",
    "pin_base": f"day = {YESTERDAY}",
}


def first_pin(world: Audited, table: str) -> int:
    return int(world.sql(f"SELECT min(pin_id) FROM {table} WHERE {WHERE[table]}")[0][0])


@pytest.mark.parametrize("table", WHERE)
def test_a_row_that_is_gone_is_named_with_window_and_pin(world: Audited, table: str) -> None:
    pin = first_pin(world, table)
    [(rows,)] = world.sql(f"SELECT count() FROM {table} WHERE {WHERE[table]} AND pin_id = {pin}")
    world.sql(f"ALTER TABLE {table} DELETE WHERE {WHERE[table]} AND pin_id = {pin}")
    found = [each for each in world.check() if each.source == table]
    assert rows
    assert found
    assert {(each.kind, each.pin, each.found) for each in found} == {(Kind.FEATURE_DIFFERS, pin, 0)}
    assert all(isinstance(each.expected, int) and each.expected > 0 for each in found)
    if table == "pin_tiles":
        assert {each.arrived for each in found} == {utc(BUCKET)}
    elif table == "pin_hours_by_pin":
        assert {each.minute for each in found} == {utc(HOUR_OF)}


@pytest.mark.parametrize("table", WHERE)
def test_rows_that_are_there_twice_are_named(world: Audited, table: str) -> None:
    pin = first_pin(world, table)
    world.sql(f"INSERT INTO {table} SELECT * FROM {table} WHERE {WHERE[table]} AND pin_id = {pin}")
    found = [each for each in world.check() if each.source == table]
    assert {each.pin for each in found} == {pin}
    assert all(each.found == 2 * int(str(each.expected)) for each in found)


@pytest.mark.parametrize("count", ["saves", "trusted_clicks"])
@pytest.mark.parametrize("table", WHERE)
def test_a_count_that_was_changed_is_named(world: Audited, table: str, count: str) -> None:
    pin, column = first_pin(world, table), f"{count}_7d" if table == "pin_base" else count
    world.sql(f"ALTER TABLE {table} UPDATE {column} = {column} + 1 WHERE {WHERE[table]} AND pin_id = {pin}")
    found = [each for each in world.check() if each.source == table]
    assert {(each.pin, each.field) for each in found} == {(pin, column)}
    assert all(each.found == int(str(each.expected)) + 1 for each in found)


@pytest.mark.parametrize("table", WHERE)
def test_counts_that_moved_to_another_pin_are_named_although_all_sums_are_right(world: Audited, table: str) -> None:
    pin = first_pin(world, table)
    world.sql(f"CREATE TABLE moved AS {table}")
    moved = f"(SELECT * FROM {table} WHERE {WHERE[table]} AND pin_id = {pin})"
    world.sql(f"INSERT INTO moved SELECT * REPLACE(77 AS pin_id) FROM {moved}")
    world.sql(f"ALTER TABLE {table} DELETE WHERE {WHERE[table]} AND pin_id = {pin}")
    world.sql(f"INSERT INTO {table} SELECT * FROM moved")
    world.sql("DROP TABLE moved")
    assert {each.pin for each in world.check() if each.source == table} == {pin, 77}


@pytest.mark.parametrize("table", WHERE)
def test_a_partition_that_was_dropped_is_named(world: Audited, table: str) -> None:
    [(partition,)] = world.sql(f"SELECT any(_partition_id) FROM {table} WHERE {WHERE[table]}")
    world.sql(f"ALTER TABLE {table} DROP PARTITION ID '{partition}'")
    assert table in {each.source for each in world.check()}


@pytest.mark.parametrize("table", ["pin_tiles", "pin_hours_by_pin", "pin_corrections", "pin_base"])
def test_rows_of_a_seal_that_is_not_published_are_no_difference(world: Audited, table: str) -> None:
    world.sql(f"INSERT INTO {table} SELECT * REPLACE(9999 AS seal) FROM {table}")
    assert world.check() == []


@pytest.mark.parametrize(("table", "column"), [("pin_tiles", "window_start"), ("pin_tiles", "arrived_at"),
                                               ("pin_corrections", "known_from")])  # fmt: skip
def test_rows_with_another_time_are_named(world: Audited, table: str, column: str) -> None:
    world.sql(f"CREATE TABLE moved AS {table}")
    moved = f"(SELECT * FROM {table} WHERE {WHERE[table]})"
    world.sql(f"INSERT INTO moved SELECT * REPLACE({column} + 600 AS {column}) FROM {moved}")
    world.sql(f"ALTER TABLE {table} DELETE WHERE {WHERE[table]}")
    world.sql(f"INSERT INTO {table} SELECT * FROM moved")
    world.sql("DROP TABLE moved")
    assert table in {each.source for each in world.check()}


@pytest.mark.parametrize(("kind", "start"), [("tiles", BUCKET), ("hours", HOUR_OF), ("base", YESTERDAY)])
def test_a_window_without_its_row_is_named_and_an_open_one_is_no_difference(
    world: Audited, kind: str, start: int
) -> None:
    world.sql(f"ALTER TABLE feature_seals DELETE WHERE kind = '{kind}' AND window_start = {start}")
    found = [each for each in world.check() if str(each.field) == f"{kind}: no row"]
    assert {(each.kind, each.source, each.found) for each in found} == {(Kind.FEATURE_DIFFERS, "feature_seals", 0)}
    assert {each.arrived or each.minute for each in found} == {utc(start)}
    world.sql(
        "INSERT INTO feature_seals (kind, window_start, seal, rows_seal, is_open) "
        f"VALUES ('{kind}', {start}, 9999, 0, true)"
    )
    assert [each for each in world.check() if each.source == "feature_seals"] == []


@pytest.mark.parametrize(("kind", "start"), [("tiles", BUCKET), ("hours", HOUR_OF), ("base", YESTERDAY)])
@pytest.mark.parametrize("column", ["pins", "clicks", "trusted_closeups"])
def test_totals_that_are_not_those_of_the_rows_are_named(world: Audited, kind: str, start: int, column: str) -> None:
    world.sql(
        f"ALTER TABLE feature_seals UPDATE {column} = {column} - 1 WHERE kind = '{kind}' AND window_start = {start}"
    )
    [found] = world.check()
    assert (found.field, found.source) == (f"{kind}: {column}", "feature_seals")
    assert found.expected == int(str(found.found)) + 1


def test_an_hour_with_another_cut_than_its_own_is_named(world: Audited) -> None:
    world.sql(
        "ALTER TABLE feature_seals UPDATE complete_at = complete_at + 600 "
        f"WHERE kind = 'hours' AND window_start = {HOUR_OF}"
    )
    [found] = world.check()
    assert (found.field, found.expected) == ("hours: complete_at", utc(HOUR_OF + 2 * HOUR))


@pytest.mark.parametrize("column", ["events", "trusted"])
@pytest.mark.parametrize("change", ["+ 1 WHERE arrived_at < {newest}", "WHERE 0"])
def test_a_cell_that_changed_afterwards_is_named_and_one_that_is_not_known_yet_is_not(
    world: Audited, change: str, column: str
) -> None:
    world.sql(f"ALTER TABLE pin_minutes UPDATE {column} = {column} + 7 WHERE arrived_at >= {NEWEST}")
    assert world.check() == []
    world.sql(f"ALTER TABLE pin_minutes UPDATE {column} = {column} {change.format(newest=NEWEST)}")
    assert {each.source for each in world.check()} == (
        {"pin_tiles", "pin_corrections", "pin_hours_by_pin"} if "+" in change else set()
    )


@pytest.mark.parametrize("tops", ["hour_tops", "tile_tops"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE WHERE {one} AND NOT is_rest AND pin_id = {pin}", "rest: events"),
        ("UPDATE saves = saves + 1, events = events + 1 WHERE {one} AND pin_id = {pin}", "counts of listed pins"),
        ("UPDATE events = events + 1 WHERE {one} AND pin_id = {pin}", "rows whose events are not the sum"),
        ("UPDATE events = 0 WHERE {one} AND is_rest", "rest: events"),
        ("UPDATE trusted = trusted + 1 WHERE {one} AND pin_id = {pin}", "rows whose events are not the sum"),
        ("UPDATE trusted_saves = trusted_saves + 1, trusted = trusted + 1 WHERE {one} AND pin_id = {pin}", "counts of"),
        ("UPDATE trusted = 0 WHERE {one} AND is_rest", "rest: trusted"),
        ("DELETE WHERE {one} AND is_rest", "rest: events"),
        ("UPDATE seal = 9999 WHERE {one}", "rest: events"),
    ],
)
def test_tops_that_are_not_those_of_the_rows_are_named(world: Audited, tops: str, damage: str, said: str) -> None:
    one = f"window_start = {HOUR_OF}"
    if tops == "tile_tops":
        [(start, arrived)] = world.sql(
            "SELECT toUInt32(window_start), toUInt32(arrived_at) FROM pin_tiles GROUP BY 1, 2 ORDER BY count() DESC,"
            " 1, 2 LIMIT 1"
        )
        one = f"window_start = {start} AND arrived_at = {arrived}"
    [(pin,)] = world.sql(f"SELECT pin_id FROM {tops} WHERE {one} AND NOT is_rest ORDER BY events DESC LIMIT 1")
    world.sql(f"ALTER TABLE {tops} {damage.format(one=one, pin=pin)}")
    found = world.check()
    assert {each.source for each in found} == {tops}
    assert any(str(each.field).startswith(said) for each in found)


def test_a_weaker_bound_of_the_rest_is_no_difference(world: Audited) -> None:
    world.sql("ALTER TABLE hour_tops UPDATE saves = saves + 5, events = events + 9 WHERE is_rest")
    assert world.check() == []


def test_a_cut_that_is_gone_is_named(world: Audited) -> None:
    world.sql(f"ALTER TABLE cuts DELETE WHERE cut = {CUTS[3]}")
    [found] = [each for each in world.check() if each.kind == Kind.CUT_DIFFERS]
    assert (found.source, found.minute, found.field) == ("cuts", utc(CUTS[3]), "rows")


def test_the_newest_cut_may_still_be_to_come_but_not_two(world: Audited) -> None:
    world.sql(f"ALTER TABLE cuts DELETE WHERE cut = {NEWEST}")
    assert [each for each in world.check() if each.source == "cuts"] == []
    world.sql(f"ALTER TABLE cuts DELETE WHERE cut = {NEWEST - TEN}")
    [found] = [each for each in world.check() if each.source == "cuts"]
    assert (found.kind, found.minute) == (Kind.CUT_DIFFERS, utc(NEWEST - TEN))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("hours_until + 3600 AS hours_until", Kind.CUT_DIFFERS),
        ("hours_until - 86400 AS hours_until", Kind.CUT_DIFFERS),
        ("toDateTime64(cut, 3, 'UTC') - 1 AS published_at", Kind.CUT_EARLY),
    ],
)
def test_a_cut_that_does_not_say_what_it_must_is_named(world: Audited, change: str, kind: Kind) -> None:
    world.sql(f"INSERT INTO cuts SELECT * REPLACE({change}, 5 AS seal) FROM (SELECT * FROM cuts WHERE cut = {CUTS[9]})")
    world.sql(f"ALTER TABLE cuts DELETE WHERE cut = {CUTS[9]} AND seal != 5")
    assert (kind, utc(CUTS[9])) in {(each.kind, each.minute) for each in world.check() if each.source == "cuts"}


def test_a_cut_published_by_two_sealers_is_one_cut_if_they_agree(world: Audited) -> None:
    world.sql(f"INSERT INTO cuts SELECT * REPLACE(published_at + 5 AS published_at) FROM cuts WHERE cut = {CUTS[9]}")
    assert world.check() == []
    world.sql(
        "INSERT INTO cuts SELECT * REPLACE(hours_until - 3600 AS hours_until, published_at + 9 AS published_at) "
        f"FROM cuts WHERE cut = {CUTS[9]}"
    )
    assert {each.field for each in world.check() if each.source == "cuts"} == {"hours_until"}


def test_windows_that_began_before_a_moment_are_left_out(world: Audited) -> None:
    world.sql(f"ALTER TABLE pin_hours_by_pin UPDATE saves = saves + 1 WHERE window_start = {HOUR_OF}")
    assert "pin_hours_by_pin" in {each.source for each in world.check(since=HOUR_OF)}
    assert "pin_hours_by_pin" not in {each.source for each in world.check(since=HOUR_OF + HOUR)}
    assert 0 < world.count(since=HOUR_OF + HOUR) < world.count()


def test_a_base_includes_no_hour_of_its_own_day(world: Audited) -> None:
    assert hours_until(NEWEST) > YESTERDAY
    world.sql(f"ALTER TABLE pin_hours_by_pin UPDATE saves = saves + 1 WHERE window_start = {YESTERDAY - DAY - HOUR}")
    days = {each.minute for each in world.check() if each.source == "pin_base"}
    assert days <= {utc(YESTERDAY - DAY), utc(YESTERDAY)}


def test_a_difference_that_is_gone_when_everything_is_read_again_is_none(
    world: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mend(_: float) -> None:
        world.restore()

    monkeypatch.setattr("pintally.audit.looks.LOOKS", 2)
    monkeypatch.setattr("pintally.audit.looks.sleep", mend)
    world.sql(f"ALTER TABLE pin_tiles DELETE WHERE {WHERE['pin_tiles']}")
    assert world.check() == []


def test_many_differences_are_counted_and_the_first_pins_are_named(world: Audited) -> None:
    world.sql("ALTER TABLE pin_tiles UPDATE saves = saves + 1 WHERE 1")
    found = [each for each in world.check() if each.source == "pin_tiles"]
    assert len(found) > 100
    assert found[0].pin is not None
    assert found[-1].pin is None
    assert found[-1].field == "events"
