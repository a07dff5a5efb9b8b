"""What Kafka says of our topics, and how they are made. Blocking; each call opens one connection and closes it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from pintally.schemas.actions import dead_letter_topic
from pintally.schemas.errors import KafkaRefused, PintallyError
from pintally.schemas.rules import DAY_MS
from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets, TopicInfo
from pintally.streams.kafka.admin import open_admin, retry_while_electing, retry_while_loading
from pintally.streams.kafka.leaderless import naming_leaderless
from pintally.streams.kafka.rights import GROUP, TOPIC, UNAUTHORIZED, needing, right_missing
from pintally.streams.kafka.topic_configs import read_topic_configs
from pintally.streams.settings import KafkaSettings, RulesSettings, TopicSettings

RETENTION_MS = 7 * DAY_MS
FOREVER_MS = 2**63 - 1
IN_SYNC = 2  # of three replicas or more: what is acknowledged outlives the loss of any one broker
DEAD_LETTER_BYTES = 2 * 1024 * 1024  # a record of Kafka's usual limit of 1 MiB, and the headers that say why


class TopicMissing(PintallyError):
    """A source topic does not exist."""


class TopicRefused(PintallyError):
    """Kafka would not make a topic, or a topic has settings that cannot be counted exactly."""


def create_topics(kafka: KafkaSettings, topics: TopicSettings, rules: RulesSettings) -> list[str]:
    """Make the topics of sources, replays and dead letters; return the names of those that did not exist before.

    Safe to run any number of times and from several processes at once. Topics that exist stay as they are:
    `streams.kafka.topic_configs` names what is wrong with them. Raises KafkaUnavailable and TopicRefused.
    """
    wanted = _wanted(topics, rules)
    with open_admin(kafka) as admin, needing(kafka, TOPIC, "Describe", wanted):
        existing = set(admin.list_topics())
        missing = {name: options for name, options in wanted.items() if name not in existing}
        if not missing:
            return []
        answers = admin.create_topics(missing, raise_errors=False)["topics"]
        forbidden = [answer["name"] for answer in answers if for_code(answer["error_code"]) in UNAUTHORIZED]
        if forbidden:
            raise right_missing(kafka, TOPIC, "Create", forbidden)
        created = [answer["name"] for answer in answers if _was_created(answer)]
        _refuse_hidden(kafka, admin.describe_topics(list(missing)))  # else they would be waited for
        admin.wait_for_topics(list(missing))
    return sorted(created)


def describe_topics(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, TopicInfo]:
    """The source topics by name. Raises TopicMissing naming those that do not exist, KafkaUnavailable."""
    with open_admin(kafka) as admin:
        return describe_by(admin, kafka, topics)


def describe_by(admin: KafkaAdminClient, kafka: KafkaSettings, topics: TopicSettings) -> dict[str, TopicInfo]:
    """The same by a connection that is open."""
    names = list(topics.actions)
    found = {topic["name"]: topic for topic in admin.describe_topics(names)}
    errors = {name: for_code(topic["error_code"]) for name, topic in found.items() if topic["error_code"]}
    missing = [name for name in names if name not in found or errors.get(name) is UnknownTopicOrPartitionError]
    if missing:
        raise TopicMissing(
            f"Kafka at {kafka} has no topic {', '.join(missing)}",
            "Run `pintally migrate` to create it.",
        )
    _refuse_hidden(kafka, found.values())
    for name, error in errors.items():
        raise error(name)
    configs = read_topic_configs(admin, kafka, names)
    return {name: _info(found[name], configs[name]) for name in names}


def topic_ids(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, UUID]:
    """The UUIDs of those source topics that exist and may be described, by name. Raises KafkaUnavailable."""
    with open_admin(kafka) as admin:
        found = admin.describe_topics(list(topics.actions))
    return {topic["name"]: _id(topic) for topic in found if not topic["error_code"]}


def _refuse_hidden(kafka: KafkaSettings, described: Iterable[Mapping[str, Any]]) -> None:
    """Raise RightMissing for topics that our user may not describe."""
    if hidden := [topic["name"] for topic in described if for_code(topic["error_code"]) in UNAUTHORIZED]:
        raise right_missing(kafka, TOPIC, "Describe", hidden)


def sources_of(topics: Mapping[str, TopicInfo]) -> list[Source]:
    """Every partition of `topics`, by topic name and partition."""
    return [
        Source(topic.name, topic.topic_id, partition)
        for topic in sorted(topics.values(), key=lambda topic: topic.name)
        for partition in range(topic.partitions)
    ]


def read_offsets(kafka: KafkaSettings, sources: Sequence[Source]) -> dict[Source, Offsets]:
    """Log start, log end and last stable offset of each source, in offsets. Raises KafkaUnavailable."""
    if not sources:
        return {}
    with open_admin(kafka) as admin:
        return offsets_by(admin, kafka, sources)


def offsets_by(admin: KafkaAdminClient, kafka: KafkaSettings, sources: Sequence[Source]) -> dict[Source, Offsets]:
    """The same by a connection that is open."""
    by_partition = {TopicPartition(source.topic, source.partition): source for source in sources}
    topics = {source.topic for source in sources}
    with needing(kafka, TOPIC, "Describe", topics), naming_leaderless(admin, kafka, topics):

        def offsets(spec: OffsetSpec, isolation: str) -> dict[TopicPartition, Any]:
            specs = dict.fromkeys(by_partition, spec)
            answer: dict[TopicPartition, Any] = retry_while_electing(
                lambda: admin.list_partition_offsets(specs, isolation_level=isolation)
            )
            return answer

        # In this order: log_start <= last_stable <= log_end holds even while producers and retention go on.
        starts = offsets(OffsetSpec.EARLIEST, "read_uncommitted")
        stable = offsets(OffsetSpec.LATEST, "read_committed")
        ends = offsets(OffsetSpec.LATEST, "read_uncommitted")
    return {
        source: Offsets(starts[key].offset, ends[key].offset, stable[key].offset)
        for key, source in by_partition.items()
    }


def committed_offsets(kafka: KafkaSettings) -> dict[tuple[str, int], int]:
    """What the group has committed: (topic, partition) -> next offset. Empty for a group that Kafka does not know."""
    with open_admin(kafka) as admin, needing(kafka, GROUP, "Describe", [kafka.group_id]):
        answer = retry_while_loading(lambda: admin.list_group_offsets(kafka.group_id))[kafka.group_id]
    return {
        (partition.topic, partition.partition): committed.offset
        for partition, committed in answer.items()
        if committed.offset >= 0
    }


def group_members(kafka: KafkaSettings) -> list[str]:
    """The client ids of the group's members now; empty for a group that Kafka does not know."""
    with open_admin(kafka) as admin:
        return sorted(member["client_id"] for member in members_by(admin, kafka))


def members_by(admin: KafkaAdminClient, kafka: KafkaSettings) -> Sequence[Mapping[str, Any]]:
    """The members of the group as Kafka describes them, by a connection that is open."""
    with needing(kafka, GROUP, "Describe", [kafka.group_id]):
        group = retry_while_loading(lambda: _described(admin, kafka.group_id))
    if error := group["error"]:  # silence would be taken for an empty group
        if "Authorization" in error:
            raise right_missing(kafka, GROUP, "Describe", [kafka.group_id])
        if "GroupIdNotFound" not in error:
            raise KafkaRefused(f"Kafka at {kafka} does not describe group {kafka.group_id}: {error}")
    return group.get("members") or ()


def _described(admin: KafkaAdminClient, group_id: str) -> Mapping[str, Any]:
    """One group. The client returns errors as text; those that pass by themselves are raised, as other answers' are."""
    group: Mapping[str, Any] = admin.describe_groups([group_id])[group_id]
    number = re.match(r"\[Error (\d+)\]", group["error"] or "")
    if number and (error := for_code(int(number[1]))).retriable:
        raise error
    return group


def dead_letter_retention(topics: TopicSettings) -> dict[str, str]:
    """The configuration that has a dead-letter topic forget a letter `dead_letter_days` after it was sent.

    Kafka deletes whole segments that are closed, so one is closed each day.
    """
    return {"retention.ms": str(topics.dead_letter_days * DAY_MS), "segment.ms": str(DAY_MS)}


def replay_retention(topics: TopicSettings) -> dict[str, str]:
    """The same of a replay topic, a day longer: a letter that is there must have come after all that was forgotten."""
    return {"retention.ms": str((topics.dead_letter_days + 1) * DAY_MS), "segment.ms": str(DAY_MS)}


def _wanted(topics: TopicSettings, rules: RulesSettings) -> dict[str, dict[str, Any]]:
    shape = {"num_partitions": topics.partitions, "replication_factor": topics.replication}
    source = {
        "message.timestamp.type": topics.topic_timestamps,
        "cleanup.policy": "delete",
        "retention.ms": str(RETENTION_MS),
        "compression.type": "producer",
    }
    if topics.topic_timestamps == "CreateTime":
        source["message.timestamp.after.max.ms"] = str(rules.to_rules().max_clock_skew_ms)
    invalid = {
        "cleanup.policy": "delete",
        **dead_letter_retention(topics),
        "compression.type": "producer",
        "max.message.bytes": str(DEAD_LETTER_BYTES),
    }
    replay = {
        **invalid,
        **replay_retention(topics),
        "message.timestamp.type": "LogAppendTime",
    }
    if topics.replication > IN_SYNC:
        for configs in (source, invalid, replay):
            configs["min.insync.replicas"] = str(IN_SYNC)
    names = list(topics.names.values())
    return (
        {name: {**shape, "configs": source} for name in names}
        | {dead_letter_topic(name): {**shape, "configs": invalid} for name in names}
        | {name: {**shape, "num_partitions": 1, "configs": replay} for name in topics.replay_names.values()}
    )


def _was_created(answer: Mapping[str, Any]) -> bool:
    error = for_code(answer["error_code"])
    if answer["error_code"] == 0 or error is TopicAlreadyExistsError:
        return bool(answer["error_code"] == 0)
    raise TopicRefused(
        f"Kafka would not create topic {answer['name']}: {answer['error_message'] or error.__name__}",
        "Check PINTALLY_PARTITIONS, PINTALLY_REPLICATION (at most the number of brokers) and the topic's name.",
    )


def _info(topic: Mapping[str, Any], config: Mapping[str, str]) -> TopicInfo:
    def number(name: str, default: int) -> int:
        return int(config[name]) if name in config else default

    return TopicInfo(
        name=topic["name"],
        topic_id=_id(topic),
        partitions=len(topic["partitions"]),
        timestamp_type=config["message.timestamp.type"],
        # Kafka before 3.6 has neither and accepts any timestamp.
        timestamp_after_max_ms=number("message.timestamp.after.max.ms", FOREVER_MS),
        timestamp_before_max_ms=number("message.timestamp.before.max.ms", FOREVER_MS),
        cleanup_policy=config["cleanup.policy"],
        retention_ms=number("retention.ms", -1),
        retention_bytes=number("retention.bytes", -1),
        message_format=config.get("message.format.version", ""),
        replicas=min(len(partition["replica_nodes"]) for partition in topic["partitions"]),
        in_sync_at_least=number("min.insync.replicas", 1),
        unclean_election=config.get("unclean.leader.election.enable") == "true",
    )


def _id(topic: Mapping[str, Any]) -> UUID:
    """Without it a topic that was deleted and created again would go on as the first one."""
    given = str(topic["topic_id"])
    if not given.strip("0-") or given == "None":
        raise TopicRefused(
            f"topic {topic['name']} has no UUID: brokers with ZooKeeper give none while their "
            "inter.broker.protocol.version is below 2.8",
            "Raise inter.broker.protocol.version to that of the brokers, and restart them one by one.",
        )
    return UUID(given)
