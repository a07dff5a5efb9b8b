"""Counts in a database of each module's own, made once."""

import uuid
from collections.abc import Iterator

import pytest

from pintally.features import ClickHouseAddress, FeatureReader
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings
from tests.sinks.sealing import TODAY, some_cells, write
from tests.support.engines import TestEngines, drop_database


@pytest.fixture(scope="module")
def address(engines: TestEngines) -> Iterator[ClickHouseAddress]:
    """Tables, empty."""
    settings = Settings.of(None, **engines.addresses.settings(), clickhouse_database=f"t{uuid.uuid4().hex[:12]}")
    try:
        migrate(settings.clickhouse)
        yield settings.clickhouse
    finally:
        drop_database(engines.addresses, settings.clickhouse.database)


@pytest.fixture(scope="module")
def counted(address: ClickHouseAddress) -> ClickHouseAddress:
    """Two pins in hours of yesterday, which are sealed, and of today."""
    write(address, some_cells())
    write(address, some_cells(20, count=4, slice_block=1))
    seal(address, TODAY)
    return address


@pytest.fixture
def reader(counted: ClickHouseAddress) -> Iterator[FeatureReader]:
    """Asks about these counts."""
    with FeatureReader(counted) as made:
        yield made
