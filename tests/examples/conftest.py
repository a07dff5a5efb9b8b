"""Some hours of emulated traffic, counted and sealed once for all examples."""

import time
import uuid
from collections.abc import Iterator

import pytest

from pintally.sinks.clickhouse.migrate import migrate
from pintally.streams.settings import Settings
from tests.support.emulated import HOUR, World, fill
from tests.support.engines import TestEngines, drop_database


@pytest.fixture(scope="session")
def emulated(engines: TestEngines) -> Iterator[Settings]:
    """Settings with a database that holds a world; it ended less than two hours ago."""
    settings = Settings.of(None, **engines.addresses.settings(), clickhouse_database=f"t{uuid.uuid4().hex[:12]}")
    try:
        migrate(settings.clickhouse)
        fill(settings.clickhouse, World(end=(int(time.time()) // HOUR) * HOUR))
        yield settings
    finally:
        drop_database(engines.addresses, settings.clickhouse.database)
