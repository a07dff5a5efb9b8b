"""Whether topics outlive the loss of a broker: what Kafka loses, nobody can count. Pure but for `read_durability`."""

from collections.abc import Iterator, Mapping

from pintally.streams.counting.log import TopicInfo
from pintally.streams.counting.refusals import alter
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.topics import IN_SYNC
from pintally.streams.settings import KafkaSettings

REPLICAS = 3  # with two in sync any one broker may be lost, and producers go on


def read_durability(kafka: KafkaSettings, topics: Mapping[str, TopicInfo]) -> list[str]:
    """What may lose records of these topics, a sentence each that names topic and remedy. Raises KafkaUnavailable."""
    with open_admin(kafka) as admin:
        brokers = admin.broker_count()
    return [words for topic in topics.values() for words in weaknesses(topic, brokers)]


def weaknesses(topic: TopicInfo, brokers: int) -> Iterator[str]:
    """The same of one topic in a Kafka of so many brokers. One broker alone can keep no second copy."""
    if topic.replicas < min(brokers, REPLICAS):
        has = "1 replica" if topic.replicas == 1 else f"{topic.replicas} replicas"
        yield (
            f"topic {topic.name} has {has} on {brokers} brokers: a broker that is lost takes records with it. "
            "Add replicas with `kafka-reassign-partitions.sh`; for topics that `migrate` creates set "
            f"PINTALLY_REPLICATION={REPLICAS}."
        )
    if topic.replicas >= REPLICAS and topic.in_sync_at_least < IN_SYNC:
        yield (
            f"topic {topic.name} has min.insync.replicas={topic.in_sync_at_least}: a record that one broker alone has "
            f"may be acknowledged, and is lost with it. Run `{alter(topic, f'min.insync.replicas={IN_SYNC}')}`."
        )
    if 1 < topic.replicas <= topic.in_sync_at_least:
        yield (
            f"topic {topic.name} has min.insync.replicas={topic.in_sync_at_least} with {topic.replicas} replicas: "
            f"while any broker is away, producers are refused. Add replicas with `kafka-reassign-partitions.sh`."
        )
    if topic.unclean_election and topic.replicas > 1:
        yield (
            f"topic {topic.name} has unclean.leader.election.enable=true: an election may lose records that are "
            f"counted. Run `{alter(topic, 'unclean.leader.election.enable=false')}`."
        )
