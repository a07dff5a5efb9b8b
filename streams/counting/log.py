"""A partition's log as Kafka describes it: its topic, and where it starts and ends."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class TopicInfo:
    """One topic as Kafka describes it. Times in milliseconds."""

    name: str
    topic_id: UUID
    partitions: int
    timestamp_type: str  # 'CreateTime' or 'LogAppendTime'
    timestamp_after_max_ms: int  # how far a CreateTime timestamp may lead the broker's clock
    timestamp_before_max_ms: int  # how far it may lag
    cleanup_policy: str  # 'delete', 'compact' or both with a comma
    message_format: str = ""  # the version of Kafka whose format records are kept in; brokers from 4.0 on have one only


@dataclass(frozen=True, slots=True)
class Offsets:
    """Where the log of one partition starts and ends."""

    log_start: int
    log_end: int  # the next offset to be written
    last_stable: int  # read_committed consumers read below this
