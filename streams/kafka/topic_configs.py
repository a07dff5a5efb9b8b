"""Configurations of topics: what the broker says they are, what they should be, and changes that it has taken.

`read_topic_configs` and `set_topic_configs` block.
"""

import time
from collections.abc import Iterable, Iterator, Mapping

from kafka.admin import ConfigResource, KafkaAdminClient

from pintally.schemas.errors import KafkaRefused
from pintally.streams.counting.log import TopicInfo
from pintally.streams.counting.refusals import alter, topic_faults
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.rights import TOPIC, right_missing
from pintally.streams.settings import KafkaSettings, RulesSettings, TopicSettings

TAKEN_SECONDS = 30.0
LOOK_SECONDS = 0.05

Configs = Mapping[str, str]


def read_topic_configs(
    admin: KafkaAdminClient, kafka: KafkaSettings, topics: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Every configuration of each topic, defaults included: topic -> name -> value. Raises RightMissing.

    A topic that exists has configurations: the client passes over the error that Kafka gives instead of them.
    """
    resources = [ConfigResource("TOPIC", topic) for topic in topics]
    if not resources:
        return {}
    found = admin.describe_configs(resources, config_filter="all")["topic"]
    if forbidden := [topic for topic, configs in found.items() if not configs]:
        raise right_missing(kafka, TOPIC, "DescribeConfigs", forbidden)
    return {topic: {name: config["value"] for name, config in configs.items()} for topic, configs in found.items()}


def set_topic_configs(kafka: KafkaSettings, wanted: Mapping[str, Configs]) -> list[str]:
    """Have topics (topic -> name -> value) configured so; the names of those that were not, sorted.

    Returns when the broker describes them so: it answers a moment before it has taken a change. Raises
    KafkaUnavailable, and KafkaRefused if it has not taken it within 30 seconds.
    """
    with open_admin(kafka) as admin:
        changed = _differing(admin, kafka, wanted)
        if changed:
            asked = [ConfigResource("TOPIC", topic, configs=dict(wanted[topic])) for topic in changed]
            _refuse(kafka, admin.alter_configs(asked)["topic"])
        give_up = time.monotonic() + TAKEN_SECONDS
        while still := _differing(admin, kafka, {topic: wanted[topic] for topic in changed}):
            if time.monotonic() > give_up:
                raise KafkaRefused(
                    f"Kafka at {kafka} has not taken new configurations of {', '.join(still)}",
                    "See the broker's log for the reason.",
                )
            time.sleep(LOOK_SECONDS)
    return changed


def _differing(admin: KafkaAdminClient, kafka: KafkaSettings, wanted: Mapping[str, Configs]) -> list[str]:
    found = read_topic_configs(admin, kafka, wanted)
    return sorted(topic for topic, configs in wanted.items() if not configs.items() <= found[topic].items())


def _refuse(kafka: KafkaSettings, answers: Mapping[str, str]) -> None:
    """Raise what Kafka answered instead of OK; the client only hands it back."""
    refused = {topic: answer for topic, answer in answers.items() if answer != "OK"}
    if forbidden := [topic for topic, answer in refused.items() if "Authorization" in answer]:
        raise right_missing(kafka, TOPIC, "AlterConfigs", forbidden)
    for topic, answer in refused.items():
        raise KafkaRefused(
            f"Kafka at {kafka} does not change the configuration of {topic}: {answer}",
            "See the broker's log for the reason.",
        )


def topic_differences(asked: TopicSettings, rules: RulesSettings, topics: Mapping[str, TopicInfo]) -> list[str]:
    """What in `topics` is not as the settings ask, a sentence each that names topic, value and remedy."""
    return [each for topic in topics.values() for each in _differences(asked, rules, topic)]


def _differences(asked: TopicSettings, rules: RulesSettings, topic: TopicInfo) -> Iterator[str]:
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
