"""Partitions without a leader: Kafka answers, but nobody can read or write them until one of their brokers is back."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from kafka.admin import KafkaAdminClient
from kafka.errors import LeaderNotAvailableError, UnknownBrokerIdError

from pintally.schemas.errors import KafkaUnavailable
from pintally.streams.settings import KafkaSettings

MOST_NAMED = 5
NONE = -1  # broker: kafka-python looks for it where a partition has no leader


@contextmanager
def naming_leaderless(admin: KafkaAdminClient, kafka: KafkaSettings, topics: Collection[str]) -> Iterator[None]:
    """What runs in the block asks the leaders of these topics. Raises KafkaUnavailable that names those without one."""
    try:
        yield
    except (LeaderNotAvailableError, UnknownBrokerIdError) as error:
        if names := _leaderless(admin, topics):
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            raise KafkaUnavailable(
                f"no broker of Kafka at {kafka} leads {', '.join(names[:MOST_NAMED])}{more}: those that have it are "
                "away",
                f"Bring them back: `kafka-topics.sh --bootstrap-server {kafka} --describe --unavailable-partitions` "
                "names them.",
            ) from error
        raise


def _leaderless(admin: KafkaAdminClient, topics: Collection[str]) -> list[str]:
    return sorted(
        f"{topic['name']}[{partition['partition_index']}]"
        for topic in admin.describe_topics(list(topics))
        for partition in topic["partitions"]
        if partition["leader_id"] == NONE
    )
