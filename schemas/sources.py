"""A source: one partition of one incarnation of one topic. The unit in which the log is ordered and counted."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from uuid import UUID


@dataclass(frozen=True)
class Source:
    """One partition of one topic; the topic's UUID tells a topic from its namesake created later."""

    topic: str
    topic_id: UUID
    partition: int

    @cached_property
    def id(self) -> int:
        """Name of the source in ClickHouse: 8 bytes, big-endian, of blake2b-64 over `topic|uuid|partition`."""
        name = f"{self.topic}|{self.topic_id}|{self.partition}".encode()
        return int.from_bytes(blake2b(name, digest_size=8).digest(), "big")

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"
