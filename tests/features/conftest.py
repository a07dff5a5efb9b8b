"""One database for all tests of `pintally.features`, filled once: counts, and what was known of pins at 31 cuts."""

import uuid
from collections.abc import Iterator

import pytest

from pintally.features import ClickHouseAddress, FeatureReader
from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings
from tests.sinks.known import FIRST, TEN, Fact, fill
from tests.sinks.sealing import HOUR, TODAY, some_cells, write
from tests.support.engines import TestEngines, drop_database

CUT = FIRST + 30 * HOUR  # the newest
CUTS = 30  # before it
FACTS = [
    Fact(
        CUT - TEN * (1 + i),
        CUT - TEN * (1 + i + i % 2),
        7 + i % 5,
        list(Action)[i % 3],
        1 + i * i % 11,
        i * i % 11 * (i % 2),
    )
    for i in range(170)
]


@pytest.fixture(scope="session")
def known(engines: TestEngines) -> Iterator[ClickHouseAddress]:
    """Counts of two pins yesterday, which is sealed, and today; features of five pins from FACTS."""
    settings = Settings.of(None, **engines.addresses.settings(), clickhouse_database=f"t{uuid.uuid4().hex[:12]}")
    try:
        migrate(settings.clickhouse)
        write(settings.clickhouse, some_cells())
        write(settings.clickhouse, some_cells(20, count=4, slice_block=1))
        seal(settings.clickhouse, TODAY)
        fill(settings.clickhouse, FACTS, CUT - CUTS * TEN, CUT)
        yield settings.clickhouse
    finally:
        drop_database(engines.addresses, settings.clickhouse.database)


@pytest.fixture
def reader(known: ClickHouseAddress) -> Iterator[FeatureReader]:
    """Asks about them."""
    with FeatureReader(known) as made:
        yield made
