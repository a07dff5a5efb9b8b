"""Some hours of emulated traffic, counted and sealed once for all examples, and a user who may only read."""

import time
from collections.abc import Iterator

import pytest

from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.users import users
from pintally.streams.settings import Settings
from tests.support.emulated import HOUR, World, fill
from tests.support.notebook import EFFECT
from tests.support.own_clickhouse import Profile, clickhouse_with

EMULATED, BROKEN, READER = "emulated", "broken", "reads"


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseAddress]:
    """A database that holds a world; it ended less than two hours ago."""
    rights = tuple(grant for database in (EMULATED, BROKEN) for grant in users(database)[1].grants)
    profiles = {READER: Profile(grants=rights)}
    with clickhouse_with(tmp_path_factory.mktemp("clickhouse"), profiles, EMULATED) as address:
        migrate(address)
        fill(address, World(end=(int(time.time()) // HOUR) * HOUR, effect=EFFECT))
        yield address


@pytest.fixture
def reading(emulated: ClickHouseAddress) -> Settings:
    """Settings of a user with the rights of readers."""
    return Settings.of(
        None,
        clickhouse_host=emulated.host,
        clickhouse_port=emulated.port,
        clickhouse_http_port=emulated.http_port,
        clickhouse_database=emulated.database,
        clickhouse_user=READER,
    )
