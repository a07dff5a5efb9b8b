"""Transactions that hold a source back: nothing behind the first record of one can be read until it ends. Blocking."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from kafka import TopicPartition

from pintally.schemas.sources import Source
from pintally.streams.counting.log import Offsets
from pintally.streams.kafka.admin import open_admin
from pintally.streams.kafka.rights import UNAUTHORIZED
from pintally.streams.settings import KafkaSettings

HANGING_MS = 60_000  # as long as producers' transactions may take, unless they are set up otherwise


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """The first transaction of a source that has not ended."""

    source: Source
    offset: int  # of its first record
    log_end: int
    producer_id: int | None = None  # None where our user may not ask: it needs Read on the topic
    last_ms: int | None = None  # Kafka timestamp of what its producer wrote last there

    def is_hanging(self, now_ms: int) -> bool:
        """Whether nobody has written in it for a minute, or nobody knows."""
        return self.last_ms is None or now_ms - self.last_ms >= HANGING_MS

    def in_words(self, now_ms: int) -> str:
        """What waits for it, for people."""
        behind = f"{self.log_end - self.offset:,} offsets cannot be read until it ends"
        held = f"{self.source} waits for an open transaction from offset {self.offset} on: {behind}"
        if self.producer_id is None:
            return held
        since = ""
        if self.last_ms is not None and self.last_ms >= 0:
            moment = datetime.fromtimestamp(self.last_ms / 1000, UTC)
            since = f" wrote last {moment:%Y-%m-%d %H:%M:%S} UTC, {max(0, now_ms - self.last_ms) // 1000:,} s ago"
        return f"{held}; its producer, id {self.producer_id},{since}"

    def remedy(self, kafka: KafkaSettings) -> str:
        """How it is ended."""
        return (
            "End it at its producer; if that is gone for good: `"
            + abort(kafka.bootstrap_servers, self.source.topic, self.source.partition, self.offset)
            + "`."
        )


def abort(kafka: str, topic: str, partition: int, offset: int) -> str:
    """Kafka's command that aborts a hanging transaction."""
    return (
        f"kafka-transactions.sh --bootstrap-server {kafka} abort --topic {topic} --partition {partition} "
        f"--start-offset {offset}"
    )


def hanging_transactions(kafka: KafkaSettings, offsets: Mapping[Source, Offsets]) -> list[OpenTransaction]:
    """The hanging ones among `open_transactions`."""
    now = int(time.time() * 1000)
    return [each for each in open_transactions(kafka, offsets) if each.is_hanging(now)]


def open_transactions(kafka: KafkaSettings, offsets: Mapping[Source, Offsets]) -> list[OpenTransaction]:
    """The first open transaction of each source that has one. Raises KafkaUnavailable."""
    held = {source: ends for source, ends in offsets.items() if ends.last_stable < ends.log_end}
    return [_of(kafka, source, ends) for source, ends in held.items()]


def _of(kafka: KafkaSettings, source: Source, ends: Offsets) -> OpenTransaction:
    at = TopicPartition(source.topic, source.partition)
    with open_admin(kafka) as admin:
        try:
            producers = admin.describe_producers([at])[at].active_producers
        except UNAUTHORIZED:
            return OpenTransaction(source, ends.last_stable, ends.log_end)
    for each in producers:
        if each.current_transaction_start_offset == ends.last_stable:
            return OpenTransaction(source, ends.last_stable, ends.log_end, each.producer_id, each.last_timestamp)
    return OpenTransaction(source, ends.last_stable, ends.log_end, last_ms=int(time.time() * 1000))  # it has just ended
