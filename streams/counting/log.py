"""A partition's log: its records in chunks, and its topic and ends as Kafka describes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.values import Values

Headers = tuple[tuple[str, bytes | None], ...]
Envelope = tuple[bytes | None, Headers]  # a record's key and headers


@dataclass(frozen=True, slots=True)
class Chunk:
    """The records of one source that one poll returned, in offset order.

    Records of [start, end) in fetch positions: offsets there that have no record are gaps. Arrays and `values` have
    one entry a record, ascending by offset. The values lie in what was fetched, which stays in memory as long as a
    chunk of it does.
    """

    topic: str
    partition: int
    start: int  # the fetch position before this chunk
    end: int  # the fetch position after it; where the next chunk must start
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]  # Kafka timestamps in ms; -1 where a record has none
    values: Values
    envelopes: Callable[[Sequence[int]], dict[int, Envelope]]  # offsets -> key and headers, read again on demand

    def __len__(self) -> int:
        return len(self.values)


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
    retention_ms: int = -1  # how long records are kept; -1: for ever
    replicas: int = 1  # of the partition that has the fewest
    in_sync_at_least: int = 1  # min.insync.replicas: with fewer, producers with acks=all are refused
    retention_bytes: int = -1  # how large the log of a partition grows before its beginning is deleted; -1: no limit
    unclean_election: bool = False  # whether a replica that lacks records may become leader


@dataclass(frozen=True, slots=True)
class Offsets:
    """Where the log of one partition starts and ends."""

    log_start: int
    log_end: int  # the next offset to be written
    last_stable: int  # read_committed consumers read below this
