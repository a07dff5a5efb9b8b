"""Topics under the UUIDs that the ledger knows them by: a copy that took a topic's place is counted under its UUID.

This is where the UUIDs that Kafka reports enter the program. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from pintally.schemas.errors import Refusal
from pintally.schemas.rows import ReplacedRow, Replacement
from pintally.streams.counting.log import TopicInfo


def as_known(topics: Mapping[str, TopicInfo], replaced: Sequence[ReplacedRow]) -> dict[str, TopicInfo]:
    """The topics that Kafka describes. Raises Refusal for one whose place another topic took: it is not counted."""
    return {name: replace(topic, topic_id=_known_id(topic, replaced)) for name, topic in topics.items()}


def _known_id(topic: TopicInfo, replaced: Sequence[ReplacedRow]) -> UUID:
    if row := taken_by(topic, replaced):
        raise Refusal(
            f"topic {topic.name} of UUID {topic.topic_id} is not counted any more: {row.source.topic} of UUID "
            f"{row.source.topic_id} replaced it",
            "Set PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the cluster that has that topic; or run `pintally replace-topic`, "
            "to continue in this one again.",
        )
    return known_id(topic, replaced)


def known_id(topic: TopicInfo, replaced: Iterable[ReplacedRow]) -> UUID:
    """The UUID under which the ledger has, or would have, this topic."""
    same = [row for row in replaced if row.how is Replacement.SAME_OFFSETS and is_of(topic, row)]
    return same[-1].old.topic_id if same else topic.topic_id


def taken_by(topic: TopicInfo, replaced: Sequence[ReplacedRow]) -> ReplacedRow | None:
    """The row by which another topic took the place of this one, if it has not taken it again since."""
    name = topic.name, known_id(topic, replaced)
    rows = [row for row in replaced if (row.old.topic, row.old.topic_id) == name]
    return rows[-1] if rows and not is_of(topic, rows[-1]) else None


def is_of(topic: TopicInfo, row: ReplacedRow) -> bool:
    """Whether it is this topic that takes the place."""
    return (row.source.topic, row.source.topic_id) == (topic.name, topic.topic_id)
