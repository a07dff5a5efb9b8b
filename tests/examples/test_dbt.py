"""docs/examples/dbt: run by dbt with the rights of readers, it finds what the views promise, and what breaks it."""

import json
import shutil
from pathlib import Path

import pytest

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings
from tests.examples.conftest import BROKEN
from tests.sinks.sealing import TODAY, read, some_cells, write
from tests.support.dbt_sources import PAGE, page
from tests.support.examples import EXAMPLES, run

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600), pytest.mark.xdist_group("examples")]

BREACHES = {
    "days_are_the_sums_of_their_hours",
    "as_of_is_not_in_the_future",
    "hours_are_the_sums_of_their_minutes",
    "surfaces_and_platforms_add_up_to_their_hours",
    "source_unique_together_pintally_pin_engagement_1h_window_start__pin_id",
}
TWICE = "INSERT INTO pin_hours SELECT * FROM pin_hours WHERE pin_id = 7"
TOO_EARLY = "INSERT INTO cuts (cut, hours_until, published_at, seal) SELECT max(cut), max(hours_until), 0, 0 FROM cuts"


@pytest.fixture
def broken(emulated: ClickHouseAddress) -> str:
    """A database in which rows of an hour stand twice, and a cut was published before it was reached."""
    address = emulated.model_copy(update={"database": BROKEN})
    migrate(address)
    write(address, some_cells())
    seal(address, TODAY)
    seal_cuts(address, TODAY, 3600)
    with Connection(address) as connection:
        for statement in (TWICE, TOO_EARLY):
            connection.execute(statement)
    return address.database


def test_the_sources_are_those_of_the_schema() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make readme`"


def test_dbt_finds_the_promises_kept_and_the_breaches(reading: Settings, broken: str, tmp_path: Path) -> None:
    project = tmp_path / "dbt"
    shutil.copytree(EXAMPLES / "dbt", project)
    driver = Path(__file__).with_name("dbt_runs.py")
    printed = run(driver, "source freshness", "test", settings=reading, folder=project)
    fresh, kept = (json.loads(line) for line in printed.splitlines() if line.startswith("{"))
    [(newest,)] = read(reading.clickhouse, "SELECT toString(max(published_at)) FROM cuts")
    assert fresh["cuts"]["until"][:19] == newest[:19]
    assert {name: found["status"] for name, found in kept.items()} == dict.fromkeys(kept, "pass")
    asked = reading.changed(clickhouse_database=broken).clickhouse
    sql = {name: found["sql"].replace(reading.clickhouse.database, broken) for name, found in kept.items()}
    assert {name for name, text in sql.items() if read(asked, text)} == BREACHES
