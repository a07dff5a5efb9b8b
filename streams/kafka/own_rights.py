"""Which of the rights that a worker needs it does not have, asked of Kafka before it counts. Blocking."""

import contextlib
from collections.abc import Mapping

from kafka.admin import KafkaAdminClient, MemberToRemove
from kafka.errors import GroupIdNotFoundError, UnknownMemberIdError, for_code

from pintally.streams.kafka.admin import open_admin, retry_while_loading
from pintally.streams.kafka.needed_rights import NEEDED, Need
from pintally.streams.kafka.rights import GROUP, TOPIC, UNAUTHORIZED, RightMissing, command, needing, principal
from pintally.streams.settings import KafkaSettings, TopicSettings


def refuse_missing_rights(kafka: KafkaSettings, topics: TopicSettings) -> None:
    """Raise RightMissing naming every right in Kafka that the worker's user lacks, and the commands that grant them.

    Else one that is needed rarely, as writing a dead letter, would be missed in the middle of counting. Raises
    KafkaUnavailable.
    """
    missing: dict[tuple[str, str], list[str]] = {}
    needs, group_id = NEEDED["worker"], kafka.group_id
    with open_admin(kafka) as admin:
        names = [name for need in needs if need.kind == TOPIC for name in need.names(kafka, topics)]
        described = {topic["name"]: topic for topic in admin.describe_topics(list(dict.fromkeys(names)))}
        with needing(kafka, GROUP, "Read", [group_id]):
            group = retry_while_loading(lambda: admin.describe_groups([group_id]))[group_id]
            if _of_group(group) is None:  # nobody has been in it: Kafka does not say what we may do there
                _ask_to_leave(admin, group_id)
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
