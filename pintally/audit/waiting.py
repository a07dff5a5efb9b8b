"""Open transactions that block partitions; the audit reads committed records only."""

from dataclasses import dataclass

from pintally.audit.words import moment

HANGING_MS = 60_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A partition that an open transaction blocks from `offset` on."""

    topic: str
    partition: int
    offset: int
    end: int
    producer_id: int | None = None
    last_ms: int | None = None  # Kafka timestamp of the last record of its producer

    def is_hanging(self, now_ms: int) -> bool:
        """Whether its producer wrote nothing for a minute, or is unknown."""
        return self.last_ms is None or now_ms - self.last_ms >= HANGING_MS

    def in_words(self, kafka: str) -> str:
        """Returns a text: the partition, the transaction, and how to end it."""
        writer = "" if self.producer_id is None else f"; its producer, id {self.producer_id}"
        if writer and self.last_ms is not None and self.last_ms >= 0:
            writer += f", wrote last {moment(self.last_ms)}"
        return (
            f"{self.topic}[{self.partition}] waits for an open transaction from offset {self.offset} on: "
            f"{self.end - self.offset:,} offsets cannot be read until it ends{writer}\n"
            f"  End it at its producer. If the producer is gone: `kafka-transactions.sh --bootstrap-server {kafka} "
            f"abort --topic {self.topic} --partition {self.partition} --start-offset {self.offset}`."
        )
