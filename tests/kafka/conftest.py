"""What tests of a real Kafka share."""

from collections.abc import Iterator

import pytest

from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import create_topics
from pintally.streams.settings import Settings


@pytest.fixture
def topic(settings: Settings) -> Iterator[str]:
    """A topic, which is dropped afterwards."""
    create_topics(*settings.sources)
    yield min(settings.topics.names.values())
    with open_admin(settings.kafka) as admin:
        admin.delete_topics([*settings.topics.actions])
