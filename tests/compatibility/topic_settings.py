"""Settings of topics, and what becomes of a topic that has them. The page is written from these, tests hold them."""

from dataclasses import dataclass, field
from enum import StrEnum

from pintally.schemas.actions import Action


class Outcome(StrEnum):
    """What a worker and `migrate` do."""

    REFUSED = "refused by workers, named by `migrate`"
    NAMED = "counted; `migrate` names it"
    COUNTED = "counted"


@dataclass(frozen=True)
class TopicCase:
    """One topic that was made so."""

    action: Action  # whose topic it is in the test
    configs: dict[str, str]
    outcome: Outcome
    said: str = ""  # words of the refusal or of what `migrate` names
    why: str = ""
    partitions: int = field(default=2)


# One round makes a topic of each action, so that one worker shows three cases.
COUNTED = (
    TopicCase(
        Action.SAVE,
        {"compression.type": "gzip", "retention.ms": "-1", "segment.bytes": "1048576", "min.insync.replicas": "1"},
        Outcome.COUNTED,
        why="the broker compresses again; records are kept for ever; segments are small",
    ),
    TopicCase(
        Action.CLICK,
        {"compression.type": "zstd", "max.message.bytes": "10485760", "flush.messages": "1", "preallocate": "true"},
        Outcome.COUNTED,
        why="records may be large; each write goes to disk at once",
    ),
    TopicCase(
        Action.CLOSEUP,
        {"compression.type": "snappy", "unclean.leader.election.enable": "true", "retention.bytes": "1073741824"},
        Outcome.COUNTED,
        why="nobody can count records that an unclean election loses; workers notice a log that ends too early",
    ),
)
NAMED = (
    TopicCase(
        Action.SAVE,
        {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "300000"},
        Outcome.NAMED,
        said="message.timestamp.type=CreateTime, it should be LogAppendTime",
        why="if `PINTALLY_TOPIC_TIMESTAMPS` has the other type",
    ),
)
REFUSED = (
    TopicCase(
        Action.SAVE,
        {"cleanup.policy": "compact"},
        Outcome.REFUSED,
        said="compaction removes records that count",
        why="compaction removes records that count",
    ),
    TopicCase(
        Action.SAVE,
        {"cleanup.policy": "compact,delete"},
        Outcome.REFUSED,
        said="compaction removes records that count",
        why="the same",
    ),
    TopicCase(
        Action.SAVE,
        {"message.timestamp.type": "CreateTime"},
        Outcome.REFUSED,
        said="takes producers' timestamps up to",
        why="one wrong clock would make all later records late; `message.timestamp.after.max.ms` must be at most "
        "`PINTALLY_MAX_CLOCK_SKEW_SECONDS`",
    ),
)
CASES = (*REFUSED, *NAMED, *COUNTED)
