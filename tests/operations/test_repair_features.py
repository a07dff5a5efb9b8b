"""Whatever is damaged in the tables of features: `verify` names it, and `repair` and the next sealing mend it."""

from collections.abc import Iterator

import pytest

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.features.check import check_features
from pintally.audit.findings import Finding
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sealing import recheck
from pintally.sinks.clickhouse.sealing.unequal_features import unequal_features
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.streams.audit_addresses import addresses_of
from pintally.streams.settings import Settings
from tests.audit.feature_world import FIRST, NEWEST, TEN, World, some_cells
from tests.sinks.sealed_cuts import sealed
from tests.sinks.sealing import HOUR, YESTERDAY
from tests.support.cells import cells
from tests.support.engines import TestEngines, own_tables
from tests.support.kept import Kept

BUCKET = FIRST + 7 * TEN
HOUR_OF = FIRST + HOUR
SEALS = ("seal_numbers", "feature_seals", "cuts", "pin_tiles", "pin_hours_by_pin", "pin_corrections", "pin_base",
         "hour_tops", "tile_tops")  # fmt: skip


class Sealed(World):
    """Cells, and what sealing made of them."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.clickhouse)
        self.addresses = addresses_of(settings)

    def fill(self) -> None:
        """Write cells and seal every cut; keep a copy."""
        sealed(self.address, cells(*some_cells()), until=NEWEST)
        self.kept = Kept(self.address, ("pin_minutes", *SEALS))
        self.seen = recheck._seen.copy()

    def restore(self) -> None:
        """Sealing has looked twice at what is there then, so that it is `repair` that finds what a test damages."""
        super().restore()
        recheck._seen.clear()
        recheck._seen.update(self.seen)

    def verify(self) -> list[Finding]:
        with ClickHouse(self.addresses) as clickhouse:
            return check_features(clickhouse, 0)

    def repair(self) -> None:
        """The part of `pintally repair` that is about features, and the next sealing."""
        with ClickHouseSink(self.address).session() as session:
            session.reopen_unequal()
        sealed(self.address, until=NEWEST)


@pytest.fixture(scope="module")
def shared(engines: TestEngines) -> Iterator[Sealed]:
    with own_tables(engines.addresses) as settings:
        world = Sealed(settings)
        world.fill()
        yield world


@pytest.fixture
def world(shared: Sealed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sealed]:
    monkeypatch.setattr("pintally.audit.looks.LOOKS", 1)
    yield shared
    shared.restore()


def test_what_sealing_writes_is_exact_and_repair_opens_nothing(world: Sealed) -> None:
    assert world.verify() == []
    with Connection(world.address, 30) as connection:
        assert unequal_features(connection) == set()
    for table in SEALS:
        assert world.sql(f"SELECT count() > 0 FROM {table}") == [(1,)]


WHERE = {
    "pin_tiles": f"arrived_at = {BUCKET}",
    "pin_hours_by_pin": f"window_start = {HOUR_OF}",
    "pin_corrections": f"known_from > {YESTERDAY}",
    "pin_base": f"day = {YESTERDAY}",
    "hour_tops": f"window_start = {HOUR_OF}",
    "tile_tops": f"arrived_at = {BUCKET}",
}
DAMAGE = {
    "a row is gone": "ALTER TABLE {table} DELETE WHERE {where} AND pin_id = {pin}",
    "rows are there twice": "INSERT INTO {table} SELECT * FROM {table} WHERE {where}",
    "a count is another": "ALTER TABLE {table} UPDATE {column} = {column} + 1 WHERE {where} AND pin_id = {pin}",
    "a trusted count is another": "ALTER TABLE {table} UPDATE trusted_{column} = 9 WHERE {where} AND pin_id = {pin}",
    "a partition is gone": "ALTER TABLE {table} DROP PARTITION ID '{partition}'",
}
CASES = [
    (table, damage)
    for table in WHERE
    for damage in DAMAGE
    if damage != "a row is gone" or not table.endswith("tops")  # then the bound tells, or the row was not needed
]


def damage(world: Sealed, table: str, statement: str) -> None:
    where = WHERE[table]
    [(pin, partition)] = world.sql(f"SELECT max(pin_id), any(_partition_id) FROM {table} WHERE {where}")
    column = "saves_30d" if table == "pin_base" else "saves"
    world.sql(statement.format(table=table, where=where, pin=pin, partition=partition, column=column))


@pytest.mark.parametrize(("table", "how"), CASES)
def test_damaged_rows_are_named_and_mended(world: Sealed, table: str, how: str) -> None:
    damage(world, table, DAMAGE[how])
    assert table in {finding.source for finding in world.verify()}
    world.repair()
    assert world.verify() == []


@pytest.mark.parametrize(
    ("kind", "start"), [("tiles", BUCKET), ("hours", HOUR_OF), ("base", YESTERDAY)], ids=["tiles", "hours", "base"]
)
@pytest.mark.parametrize(
    "change",
    ["DELETE", "UPDATE pins = pins - 1", "UPDATE clicks = clicks - 1", "UPDATE trusted_clicks = trusted_clicks - 1"],
)
def test_damaged_seals_are_named_and_mended(world: Sealed, kind: str, start: int, change: str) -> None:
    world.sql(f"ALTER TABLE feature_seals {change} WHERE kind = '{kind}' AND window_start = {start}")
    assert {finding.source for finding in world.verify()} >= {"feature_seals"}
    world.repair()
    assert world.verify() == []


def test_all_seals_are_gone_and_come_back(world: Sealed) -> None:
    world.sql("TRUNCATE TABLE feature_seals")
    assert world.verify()
    world.repair()
    assert world.verify() == []


@pytest.mark.parametrize("place", [1, 9, 17, 30], ids=str)
@pytest.mark.parametrize("sealed_meanwhile", [False, True], ids=["at once", "later"])
def test_a_cut_that_is_gone_is_named_and_put_back(world: Sealed, place: int, sealed_meanwhile: bool) -> None:
    cut = FIRST + TEN + place * TEN
    [(published,)] = world.sql(f"SELECT published_at FROM cuts WHERE cut = {cut}")
    world.sql(f"ALTER TABLE cuts DELETE WHERE cut = {cut}")
    if sealed_meanwhile:
        sealed(world.address, until=NEWEST)
    assert "cuts" in {finding.source for finding in world.verify()}
    world.repair()
    assert world.verify() == []
    [(again,)] = world.sql(f"SELECT published_at FROM cuts WHERE cut = {cut}")
    assert abs((again - published).total_seconds()) < 60


def test_the_newest_cuts_are_published_again_by_sealing(world: Sealed) -> None:
    world.sql(f"ALTER TABLE cuts DELETE WHERE cut > {NEWEST - 3 * TEN}")
    assert "cuts" in {finding.source for finding in world.verify()}
    sealed(world.address, until=NEWEST)
    assert world.verify() == []


def test_trusted_counts_of_cells_that_others_changed_are_named_and_mended(world: Sealed) -> None:
    world.sql(f"ALTER TABLE pin_minutes UPDATE trusted = 0 WHERE pin_id = 3 AND arrived_at < {NEWEST}")
    assert {"pin_tiles", "pin_hours_by_pin", "pin_corrections"} <= {finding.source for finding in world.verify()}
    world.repair()
    assert world.verify() == []


def test_cells_that_others_changed_are_named_and_mended(world: Sealed) -> None:
    world.sql(f"ALTER TABLE pin_minutes DELETE WHERE pin_id = 3 AND arrived_at < {NEWEST}")
    assert {"pin_tiles", "pin_hours_by_pin", "pin_corrections"} <= {finding.source for finding in world.verify()}
    world.repair()
    assert world.verify() == []
