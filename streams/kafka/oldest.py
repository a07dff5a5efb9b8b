"""How old the oldest record of a source is, for what was never counted."""

from collections.abc import Sequence

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from pintally.schemas.sources import Source
from pintally.streams.kafka.rights import TOPIC, needing
from pintally.streams.settings import KafkaSettings

FIRST_MS = 0  # Kafka answers with the first record that has this timestamp or a later one


def oldest_by(admin: KafkaAdminClient, kafka: KafkaSettings, sources: Sequence[Source]) -> dict[Source, int]:
    """Returns the Kafka timestamp, in ms, of the oldest record of each source, by a connection that is open.

    A source without a record that has a timestamp is left out. Raises RightMissing and what Kafka's client raises.
    """
    if not sources:
        return {}
    by_partition = {TopicPartition(source.topic, source.partition): source for source in sources}
    with needing(kafka, TOPIC, "Describe", {source.topic for source in sources}):
        answer = admin.list_partition_offsets(dict.fromkeys(by_partition, FIRST_MS))
    return {source: answer[key].timestamp for key, source in by_partition.items() if answer[key].timestamp >= 0}
