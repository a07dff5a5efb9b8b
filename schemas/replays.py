"""A record on a replay topic: key, value (corrected or as it was) and headers of a dead letter, then seven of ours.

They name the letter's origin, by which a letter is never replayed twice, and who changed what of its value. Ours come
last, as on the dead-letter topic: an original header of the same name changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pintally.schemas.dead_letters import Header
from pintally.schemas.sources import Source

NAMES: Final = (
    "pintally.replay.topic",  # where the letter's record is
    "pintally.replay.topic.id",
    "pintally.replay.partition",
    "pintally.replay.offset",
    "pintally.replay.outcome",  # "late" or "invalid", as it was there
    "pintally.replay.corrected",  # changed fields, with commas; "prefix" for what is before the JSON; or "value"
    "pintally.replay.by",  # who replayed it
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record was read first. Two replays of one origin would count one record twice."""

    source: Source
    offset: int

    def __str__(self) -> str:
        return f"{self.source}@{self.offset}"


def to_headers(origin: Origin, outcome: str, corrected: Sequence[str], by: str) -> list[Header]:
    """Our headers, to be put behind those of the letter."""
    source = origin.source
    values = (source.topic, source.topic_id, source.partition, origin.offset, outcome, ",".join(corrected), by)
    return [(name, str(value).encode()) for name, value in zip(NAMES, values, strict=True)]


def origin_of(headers: Sequence[Header]) -> Origin | None:
    """The origin that the headers of a record on a replay topic name; None if somebody else wrote it."""
    ours = headers[-len(NAMES) :]
    if tuple(name for name, _ in ours) != NAMES:
        return None
    try:
        topic, topic_id, partition, offset = ((text or b"").decode() for _, text in ours[:4])
        return Origin(Source(topic, UUID(topic_id), int(partition)), int(offset))
    except ValueError:
        return None


def transactional_id(replay_topic: str) -> str:
    """Of the producer of a replay topic: whoever begins with it fences all others off."""
    return f"pintally.{replay_topic}"
