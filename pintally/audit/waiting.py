"""Open transactions that hold partitions back, for an audit that reads what is committed alone."""

from dataclasses import dataclass

from pintally.audit.words import moment

HANGING_MS = 60_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A partition whose log has more than may be read: its first open transaction begins at `offset`."""

    topic: str
    partition: int
    offset: int
    end: int
    producer_id: int | None = None
    last_ms: int | None = None  # Kafka timestamp of what its producer wrote last there

    def is_hanging(self, now_ms: int) -> bool:
        """Whether nobody has written in it for a minute, or nobody knows."""
        return self.last_ms is None or now_ms - self.last_ms >= HANGING_MS

    def in_words(self, kafka: str) -> str:
        """What waits, for what, and how that is ended."""
        writer = "" if self.producer_id is None else f"; its producer, id {self.producer_id}"
        if writer and self.last_ms is not None and self.last_ms >= 0:
            writer += f", wrote last {moment(self.last_ms)}"
        return (
            f"{self.topic}[{self.partition}] waits for an open transaction from offset {self.offset} on: "
            f"{self.end - self.offset:,} offsets cannot be read until it ends{writer}\n"
            f"  End it at its producer; if that is gone for good: `kafka-transactions.sh --bootstrap-server {kafka} "
            f"abort --topic {self.topic} --partition {self.partition} --start-offset {self.offset}`."
        )
