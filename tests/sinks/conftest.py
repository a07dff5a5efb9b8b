"""No test of this folder asks Kafka, whose topics would take as long to make as all the tables."""

import random
from collections.abc import Iterator

import pytest

from pintally.streams.settings import Settings
from tests.sinks.feature_world import FeatureWorld, arrivals, sealed_events
from tests.support.engines import TestEngines, tables_of


@pytest.fixture
def stack(settings: Settings, engines: TestEngines) -> Iterator[Settings]:
    """`settings` with its tables made, and dropped afterwards; there are no topics."""
    with tables_of(settings, engines.addresses):
        yield settings


@pytest.fixture(scope="session")
def feature_world(engines: TestEngines) -> Iterator[FeatureWorld]:
    """Nine days with 1,296 cuts, which take some seconds to seal: only to be read."""
    with sealed_events(engines, arrivals(random.Random(7))) as world:
        yield world
