"""Batches of dead letters as aiokafka's producer makes them, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pintally.schemas.dead_letters import Header, from_record
from pintally.schemas.rows import DeadLetterRow

Record = tuple[bytes | None, bytes | None, tuple[Header, ...]]  # key, value, headers


@dataclass
class LetterBatch:
    """A `BatchBuilder`: as long as it is smaller than `full` bytes it takes one more record, the first always."""

    full: int = 10**9
    records: list[Record] = field(default_factory=list)

    def append(
        self, *, timestamp: None, key: bytes | None, value: bytes | None, headers: Sequence[Header]
    ) -> object | None:
        """None if the batch is full."""
        assert timestamp is None, "Kafka's time of a letter is that of its sending"
        assert not (key is None and value is None), "aiokafka's own words: `key` and `value` may not both be None"
        record = (key, value, tuple(headers))
        if self.records and self.size() + size(record) > self.full:
            return None
        self.records.append(record)
        return record

    def size(self) -> int:
        """Bytes, without those of the frame."""
        return sum(map(size, self.records))

    @property
    def letters(self) -> list[DeadLetterRow]:
        """What the records say."""
        return [from_record(*record) for record in self.records]


def size(record: Record) -> int:
    """Bytes of key, value and headers."""
    key, value, headers = record
    return len(key or b"") + len(value or b"") + sum(len(name) + len(text or b"") for name, text in headers)
