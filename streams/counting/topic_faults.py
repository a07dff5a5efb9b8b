"""Topic configurations under which counts cannot be exact."""

from collections.abc import Iterator
from dataclasses import dataclass

from pintally.schemas.rules import Rules
from pintally.streams.counting.log import TopicInfo


@dataclass(frozen=True, slots=True)
class TopicFault:
    """One setting of a topic that stands in the way, and how it is changed."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


def topic_faults(topic: TopicInfo, rules: Rules) -> Iterator[TopicFault]:
    """All of one topic that is counted by these rules."""
    if "compact" in topic.cleanup_policy:
        yield TopicFault(
            f"topic {topic.name} has cleanup.policy={topic.cleanup_policy}: compaction removes records that count",
            f"Run `{alter(topic, 'cleanup.policy=delete')}`.",
        )
    if topic.message_format.startswith(NO_TIMESTAMPS):
        yield TopicFault(
            f"topic {topic.name} has message.format.version={topic.message_format}: its records have no timestamp",
            f"Run `{alter(topic, 'message.format.version=0.11.0')}`.",
        )
    skew = rules.max_clock_skew_ms
    if topic.timestamp_type == "CreateTime" and topic.timestamp_after_max_ms > skew:
        yield TopicFault(
            f"topic {topic.name} takes producers' timestamps up to {topic.timestamp_after_max_ms} ms ahead: one wrong "
            "clock would make all that follows late",
            f"Run `{alter(topic, f'message.timestamp.after.max.ms={skew}')}`, or let the broker stamp records: "
            "message.timestamp.type=LogAppendTime.",
        )


def alter(topic: TopicInfo, config: str) -> str:
    """The command that sets a config of the topic."""
    return f"kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {config}"


NO_TIMESTAMPS = ("0.8", "0.9")  # versions of Kafka whose message format, v0, has none
