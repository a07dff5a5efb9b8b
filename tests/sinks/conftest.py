"""No test of this folder asks Kafka, whose topics would take as long to make as all the tables."""

from collections.abc import Iterator

import pytest

from pintally.streams.settings import Settings
from tests.support.engines import TestEngines, tables_of


@pytest.fixture
def stack(settings: Settings, engines: TestEngines) -> Iterator[Settings]:
    """`settings` with its tables made, and dropped afterwards; there are no topics."""
    with tables_of(settings, engines.addresses):
        yield settings
