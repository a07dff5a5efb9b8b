"""What makes a topic's log no faithful, bounded record of what was sent: refused by workers, named by `migrate`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from schemas.rules import Rules
from streams.settings import Settings
from streams.topics import TopicInfo

NO_TIMESTAMPS = ("0.8", "0.9")  # versions of Kafka whose message format, v0, has none


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


def topic_differences(settings: Settings, topics: Mapping[str, TopicInfo]) -> list[str]:
    """What in `topics` is not as the settings ask, a sentence each that names topic, value and remedy."""
    return [each for topic in topics.values() for each in _differences(settings, topic)]


def _differences(settings: Settings, topic: TopicInfo) -> Iterator[str]:
    yield from map(str, topic_faults(topic, settings.rules_of(topic.name)))
    is_replay = topic.name in settings.replay_topics.values()  # a replay happens when Kafka takes it
    wanted = "LogAppendTime" if is_replay else settings.topic_timestamps
    if topic.timestamp_type != wanted:
        setting = "" if is_replay else f"Set PINTALLY_TOPIC_TIMESTAMPS={topic.timestamp_type} if that is meant, or r"
        yield (
            f"topic {topic.name} has message.timestamp.type={topic.timestamp_type}, it should be {wanted}. "
            f"{setting or 'R'}un `{alter(topic, f'message.timestamp.type={wanted}')}`."
        )
    if topic.partitions != settings.partitions and not is_replay:
        yield (
            f"topic {topic.name} has {topic.partitions} partitions, the settings ask for {settings.partitions}. "
            f"All are counted; set PINTALLY_PARTITIONS={topic.partitions} to agree."
        )
