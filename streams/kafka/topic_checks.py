"""What makes a topic's log no faithful, bounded record of what was sent: refused by workers, named by `migrate`."""

from collections.abc import Iterator, Mapping

from pintally.schemas.rules import Rules
from pintally.streams.counting.log import TopicInfo
from pintally.streams.counting.refusals import alter, topic_faults
from pintally.streams.settings import TopicSettings


def topic_differences(asked: TopicSettings, rules: Rules, topics: Mapping[str, TopicInfo]) -> list[str]:
    """What in `topics` is not as the settings ask, a sentence each that names topic, value and remedy."""
    return [each for topic in topics.values() for each in _differences(asked, rules, topic)]


def _differences(asked: TopicSettings, rules: Rules, topic: TopicInfo) -> Iterator[str]:
    yield from map(str, topic_faults(topic, rules.in_topic(topic.name)))
    is_replay = topic.name in asked.replay_names.values()  # a replay happens when Kafka takes it
    wanted = "LogAppendTime" if is_replay else asked.topic_timestamps
    if topic.timestamp_type != wanted:
        setting = "" if is_replay else f"Set PINTALLY_TOPIC_TIMESTAMPS={topic.timestamp_type} if that is meant, or r"
        yield (
            f"topic {topic.name} has message.timestamp.type={topic.timestamp_type}, it should be {wanted}. "
            f"{setting or 'R'}un `{alter(topic, f'message.timestamp.type={wanted}')}`."
        )
    if topic.partitions != asked.partitions and not is_replay:
        yield (
            f"topic {topic.name} has {topic.partitions} partitions, the settings ask for {asked.partitions}. "
            f"All are counted; set PINTALLY_PARTITIONS={topic.partitions} to agree."
        )
