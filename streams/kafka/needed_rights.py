"""The rights in Kafka that each command needs, no more. docs/security.md's table is made of it; tests hold it.

`Read`, `Write`, `Create` and `AlterConfigs` on a resource include `Describe` or `DescribeConfigs` as Kafka says:
Read and Write include Describe, AlterConfigs includes DescribeConfigs.

A worker asks Kafka which of its own it lacks before it counts (`refuse_missing_rights`).
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import GroupIdNotFoundError, UnknownMemberIdError, for_code

from pintally.schemas.actions import dead_letter_topic
from pintally.schemas.replays import transactional_id
from pintally.streams.kafka.admin import open_admin, retry_while_loading
from pintally.streams.kafka.rights import (
    GROUP,
    TOPIC,
    TRANSACTIONAL_ID,
    UNAUTHORIZED,
    RightMissing,
    command,
    needing,
    principal,
)
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
    "serve": (*_DESCRIBED, _GROUP),
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
    for name, needs in NEEDED.items():
        parts: dict[tuple[str, str], list[str]] = {}
        for need in needs:
            parts.setdefault((need.operation, need.kind), []).append(need.sort)
        rights = [f"`{operation}` on {' and '.join(sorts)}" for (operation, _), sorts in parts.items()]
        yield f"| `pintally {name}` | {'; '.join(rights)} |"


def refuse_missing_rights(kafka: KafkaSettings, topics: TopicSettings) -> None:
    """Raise RightMissing naming every right in Kafka that the worker's user lacks, and the commands that grant them.

    Else one that is needed rarely, as writing a dead letter, would be missed in the middle of counting. Raises
    KafkaUnavailable. Blocking.
    """
    missing: dict[tuple[str, str], list[str]] = {}
    needs, group_id = NEEDED["worker"], kafka.group_id
    with open_admin(kafka) as admin:
        names = [name for need in needs if need.kind == TOPIC for name in need.names(kafka, topics)]
        described = {topic["name"]: topic for topic in admin.describe_topics(list(dict.fromkeys(names)))}
        with needing(kafka, GROUP, "Read", [group_id]):
            group = retry_while_loading(lambda: admin.describe_groups([group_id]))[group_id]
            if _of_group(group) is None:  # nobody has been in it: Kafka does not say what we may do there
                retry_while_loading(lambda: _ask_to_leave(admin, group_id))
    for need in needs:
        for name in need.names(kafka, topics):
            held = _of_group(group) if need.kind == GROUP else _of_topic(described.get(name))
            if held is not None and not _may(need, held):
                missing.setdefault((need.kind, need.operation), []).append(name)
    if missing:
        raise _all_missing(kafka, missing)


def _ask_to_leave(admin: KafkaAdminClient, group: str) -> None:
    """Ask for what needs Read on the group and changes nothing: that a member leaves who was never in it."""
    with contextlib.suppress(UnknownMemberIdError, GroupIdNotFoundError):
        admin.remove_group_members(group, [MemberToRemove(member_id="pintally-asks-what-it-may-do")])


def _of_topic(topic: Mapping[str, object] | None) -> set[str] | None:
    """What we may do with a topic; None if it cannot be known, as of one that is missing."""
    if topic is None:
        return None
    if error := topic["error_code"]:
        return set() if for_code(error) in UNAUTHORIZED else None
    return _known(topic)


def _of_group(group: Mapping[str, object]) -> set[str] | None:
    if error := group["error"]:
        return set() if "Authorization" in str(error) else None
    return _known(group)


def _known(described: Mapping[str, object]) -> set[str] | None:
    operations = described.get("authorized_operations")
    return set(map(str, operations)) if isinstance(operations, list) else None


def _may(need: Need, held: set[str]) -> bool:
    return need.operation.upper().replace("CONFIGS", "_CONFIGS") in held


def _all_missing(kafka: KafkaSettings, missing: Mapping[tuple[str, str], list[str]]) -> RightMissing:
    rights = [f"{operation} on {kind} {', '.join(names)}" for (kind, operation), names in missing.items()]
    commands = [f"`{command(kafka, kind, operation, names)}`" for (kind, operation), names in missing.items()]
    plural = "rights" if len(rights) > 1 else "a right"
    return RightMissing(
        f"Kafka at {kafka} does not let {principal(kafka)} count: {plural} missing: {'; '.join(rights)}",
        "Grant: " + "\n  ".join(commands),
    )
