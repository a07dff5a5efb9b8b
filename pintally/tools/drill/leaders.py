"""Where partitions lie in a Kafka of several brokers: who leads, who follows, and how that is changed. Blocking."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kafka import KafkaProducer, TopicPartition
from kafka.errors import ElectionNotNeededError, KafkaError, NoError, for_code

from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.settings import KafkaSettings

GROUPS = TopicPartition("__consumer_offsets", 0)  # local brokers have one partition of it: its leader coordinates
ANSWER_SECONDS = 30.0
PREFERRED = 0  # kind of election: the first replica leads, if it is in sync


@dataclass(frozen=True, slots=True)
class Placement:
    """One partition: broker ids."""

    leader: int  # -1: none
    replicas: tuple[int, ...]  # the first is the preferred leader
    in_sync: frozenset[int]

    @property
    def whole(self) -> bool:
        """Whether somebody leads and all others have what the leader has."""
        return self.leader >= 0 and self.in_sync == set(self.replicas)


def placements(kafka: KafkaSettings, topics: Collection[str]) -> dict[TopicPartition, Placement]:
    """Every partition of these topics. Raises KafkaUnavailable."""
    with open_admin(kafka) as admin:
        described = admin.describe_topics(list(topics))
    return {
        TopicPartition(topic["name"], partition["partition_index"]): Placement(
            partition["leader_id"], tuple(partition["replica_nodes"]), frozenset(partition["isr_nodes"])
        )
        for topic in described
        for partition in topic["partitions"]
    }


def coordinator(kafka: KafkaSettings) -> int:
    """The broker that coordinates the groups now; -1: none."""
    return placements(kafka, [GROUPS.topic])[GROUPS].leader


def place(kafka: KafkaSettings, wanted: Mapping[TopicPartition, Sequence[int]]) -> None:
    """Begin to move partitions to these brokers, the preferred leader first. Raises KafkaError of one refused."""
    with open_admin(kafka) as admin:
        for at, error in admin.alter_partition_reassignments(dict(wanted)).items():
            if error is not None:
                raise error(str(at))


def prefer(kafka: KafkaSettings, partitions: Iterable[TopicPartition]) -> None:
    """Have the first replica of each lead. Raises KafkaError of one refused."""
    by_topic: dict[str, list[int]] = {}
    for each in partitions:
        by_topic.setdefault(each.topic, []).append(each.partition)
    with open_admin(kafka) as admin:
        answer = admin.elect_leaders(PREFERRED, by_topic, raise_errors=False)
        for result in answer.replica_election_results:
            for partition in result.partition_result:
                error = for_code(partition.error_code)
                if error not in (NoError, ElectionNotNeededError):
                    raise error(f"{result.topic}[{partition.partition_id}]")


def refusal(kafka: KafkaSettings, at: TopicPartition, value: bytes) -> KafkaError | None:
    """What Kafka answers to one record that all replicas in sync must have: None if it took it."""
    producer = KafkaProducer(**kafka_options(kafka), acks="all", retries=0, enable_idempotence=False)
    try:
        producer.send(at.topic, value, partition=at.partition).get(ANSWER_SECONDS)
    except KafkaError as error:
        return error
    finally:
        producer.close()
    return None


def rotated(placed: Mapping[TopicPartition, Placement]) -> dict[TopicPartition, tuple[int, ...]]:
    """The same brokers of each partition, with another one to lead."""
    found = {}
    for at, each in placed.items():
        others = [broker for broker in each.replicas if broker != each.leader]
        found[at] = (*others, each.leader)
    return found
