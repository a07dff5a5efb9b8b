"""The rights in Kafka that each command needs, no more. docs/security.md's table is made of it; tests hold it.

`Read`, `Write`, `Create` and `AlterConfigs` on a resource include `Describe` or `DescribeConfigs` as Kafka says:
Read and Write include Describe, AlterConfigs includes DescribeConfigs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pintally.schemas.actions import dead_letter_topic
from pintally.schemas.replays import transactional_id
from pintally.streams.kafka.rights import GROUP, TOPIC, TRANSACTIONAL_ID
from pintally.streams.settings import KafkaSettings, TopicSettings

SOURCES, REPLAYS, LETTERS = "source topics", "replay topics", "dead-letter topics"


@dataclass(frozen=True, slots=True)
class Need:
    """An operation on all resources of a sort."""

    operation: str
    kind: str
    sort: str

    def names(self, kafka: KafkaSettings, topics: TopicSettings) -> tuple[str, ...]:
        """The resources, by the settings."""
        if self.kind == GROUP:
            return (kafka.group_id,)
        if self.kind == TRANSACTIONAL_ID:
            return tuple(transactional_id(topic) for topic in topics.replay_names.values())
        return {
            SOURCES: tuple(topics.names.values()),
            REPLAYS: tuple(topics.replay_names.values()),
            LETTERS: tuple(dead_letter_topic(topic) for topic in topics.names.values()),
        }[self.sort]


def _topics(operation: str, *sorts: str) -> tuple[Need, ...]:
    return tuple(Need(operation, TOPIC, sort) for sort in sorts)


_DESCRIBED = (*_topics("Describe", SOURCES, REPLAYS), *_topics("DescribeConfigs", SOURCES, REPLAYS))
_READ_REPLAYS = (
    *_topics("Describe", SOURCES),
    *_topics("Read", REPLAYS),
    *_topics("DescribeConfigs", SOURCES, REPLAYS),
)
_READ_ALL = (*_topics("Read", SOURCES, REPLAYS), *_topics("DescribeConfigs", SOURCES, REPLAYS))
_GROUP = Need("Describe", GROUP, "the group")

NEEDED: dict[str, tuple[Need, ...]] = {
    "worker": (*_READ_ALL, *_topics("Write", LETTERS), Need("Read", GROUP, "the group")),
    "status": _DESCRIBED,
    "verify": _topics("Read", SOURCES, REPLAYS),
    "explain": _READ_ALL,
    "dlq list": _READ_REPLAYS,
    "dlq show": _READ_REPLAYS,
    "dlq replay": (
        *_READ_ALL,
        *_topics("Write", REPLAYS),
        Need("Write", TRANSACTIONAL_ID, "transactional ids `pintally.<topic>.replay`"),
    ),
    "rules show": (*_DESCRIBED, _GROUP),
    "rules apply": (*_READ_REPLAYS, _GROUP),
    "accept-loss": (*_DESCRIBED, _GROUP),
    "replace-topic": (*_READ_ALL, _GROUP),
    "repair": (*_READ_ALL, _GROUP),
    "emulate": (
        *_topics("Write", SOURCES),
        *_topics("Describe", REPLAYS),
        *_topics("DescribeConfigs", SOURCES, REPLAYS),
    ),
    "migrate": (
        *_topics("Create", SOURCES, REPLAYS, LETTERS),
        *_topics("Describe", SOURCES, REPLAYS, LETTERS),
        *_topics("AlterConfigs", REPLAYS, LETTERS),
        *_topics("DescribeConfigs", SOURCES),
    ),
}


def table() -> Iterator[str]:
    """The lines of docs/security.md."""
    yield "| Command | Rights |"
    yield "|---|---|"
    for command, needs in NEEDED.items():
        parts: dict[tuple[str, str], list[str]] = {}
        for need in needs:
            parts.setdefault((need.operation, need.kind), []).append(need.sort)
        rights = [f"`{operation}` on {' and '.join(sorts)}" for (operation, _), sorts in parts.items()]
        yield f"| `pintally {command}` | {'; '.join(rights)} |"
