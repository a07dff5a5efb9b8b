"""What a look asks Kafka and ClickHouse, on connections that stay open. Blocking; one thread an engine."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic, time
from typing import Any

from kafka.admin import KafkaAdminClient

from pintally.schemas.rows import ReplacedRow
from pintally.schemas.sources import Source
from pintally.serve.engines import kept_kafka
from pintally.serve.findings import Group, InClickHouse, InKafka, Member, Pin, Tables
from pintally.serve.shards import KeptShards, joined
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.ledger import Ledger
from pintally.sinks.clickhouse.replaced import read_replaced
from pintally.sinks.reads.operating import (
    MINUTES,
    TableSize,
    read_letter_kinds,
    read_minutes,
    read_sealed,
    read_superseded,
    read_table_sizes,
)
from pintally.sinks.reads.tops import read_top
from pintally.sinks.reads.windows import Recent
from pintally.streams.counting.log import TopicInfo
from pintally.streams.kafka.known_topics import as_known
from pintally.streams.kafka.oldest import oldest_by
from pintally.streams.kafka.topics import describe_by, members_by, offsets_by, sources_of
from pintally.streams.settings import Settings
from pintally.streams.worker.kept_ledgers import KeptLedgers

TOPICS_SECONDS = 10.0  # topics are seldom made or changed
TOP_PINS = 10
WHOLE_LEDGER_SECONDS = 3600.0  # between readings of all of it


class AskKafka:
    """Topics, the ends of their logs, and who is in the group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kept = kept_kafka(settings.kafka)
        self._topics: dict[str, TopicInfo] = {}
        self._described = -TOPICS_SECONDS

    def look(self, replaced: Sequence[ReplacedRow], uncounted: Sequence[Source]) -> InKafka:
        """`uncounted`: sources of which nothing was ever counted.

        Raises TopicMissing, KafkaUnavailable, KafkaRefused, RightMissing, Refusal.
        """
        return self._kept.ask(lambda admin: self._look(admin, replaced, uncounted))

    def _look(self, admin: KafkaAdminClient, replaced: Sequence[ReplacedRow], uncounted: Sequence[Source]) -> InKafka:
        kafka = self._settings.kafka
        if monotonic() - self._described >= TOPICS_SECONDS:
            self._topics = describe_by(admin, kafka, self._settings.topics)
            self._described = monotonic()
        topics = as_known(self._topics, replaced)
        group = Group(tuple(_member(each) for each in members_by(admin, kafka)))
        offsets = offsets_by(admin, kafka, sources_of(topics))
        oldest = oldest_by(admin, kafka, [source for source in uncounted if source in offsets])
        return InKafka(topics, offsets, group, oldest)

    def close(self) -> None:
        """Close the connection."""
        self._kept.close()


class AskClickHouse:
    """The ledger and what is sealed."""

    def __init__(self, settings: Settings) -> None:
        self.shards = KeptShards(settings.clickhouse.shards)
        self._ledgers = [KeptLedgers(WHOLE_LEDGER_SECONDS) for _ in settings.clickhouse.shards]

    def look(self, sources: Sequence[Source]) -> InClickHouse:
        """Of several servers what all of them have. Raises SinkUnavailable, SinkError and Refusal."""

        def of(number: int, connection: Connection) -> InClickHouse:
            ledger = Ledger(connection)
            ledger.shards = len(self._ledgers)
            found = self._ledgers[number].read(ledger.read_ledgers, sources)
            return InClickHouse(found, read_sealed(connection))

        return joined(self.shards.ask_each(of))

    def replaced(self) -> list[ReplacedRow]:
        """The topics that replaced others."""
        return self.shards.ask(0, read_replaced)

    def close(self) -> None:
        """Close the connections."""
        self.shards.close()


class AskTables:
    """Dead letters, sizes, superseded rows, top pins."""

    def __init__(self, settings: Settings) -> None:
        self._topics = tuple(settings.topics.actions)
        self.shards = KeptShards(settings.clickhouse.shards)

    def look(self) -> Tables:
        """Of several servers the dead letters of shard 0, and the sums of all. Raises SinkUnavailable, SinkError and
        Refusal."""
        began = monotonic()
        letters = self.shards.ask(0, lambda connection: read_letter_kinds(connection, self._topics))
        sizes = _added(self.shards.ask_each(lambda _, connection: read_table_sizes(connection)))
        superseded: Counter[str] = Counter()
        for rows in self.shards.ask_each(lambda _, connection: read_superseded(connection)):
            superseded.update(rows)
        each = [pin for pins in self.shards.ask_each(lambda _, connection: [*_top(connection)]) for pin in pins]
        top = sorted(each, key=lambda pin: (-pin.events, pin.pin_id))[:TOP_PINS]
        return Tables(time(), monotonic() - began, tuple(letters), sizes, superseded, tuple(top))

    def close(self) -> None:
        """Close the connections."""
        self.shards.close()


def _added(each: Sequence[Sequence[TableSize]]) -> tuple[TableSize, ...]:
    """The sizes of the tables of all servers, by name."""
    sums: dict[str, TableSize] = {}
    for size in (size for sizes in each for size in sizes):
        before = sums.get(size.name, TableSize(size.name, 0, 0, 0))
        rows, octets, parts = before.rows + size.rows, before.bytes + size.bytes, before.parts + size.parts
        sums[size.name] = TableSize(size.name, rows, octets, parts)
    return tuple(sums.values())


def _top(connection: Connection) -> Iterable[Pin]:
    """The pins with the most events of the last hour, up to the last flush."""
    top = read_top(connection, Recent.LAST_HOUR, k=TOP_PINS, live=True)
    (now,) = connection.one("SELECT toUnixTimestamp(toStartOfMinute(now('UTC')))")
    minutes = read_minutes(connection, tuple(pin.pin_id for pin in top.pins), now)
    for pin in top.pins:
        yield Pin(pin.pin_id, sum(pin.counts), tuple(minutes.get(pin.pin_id, [0] * MINUTES)))


def _member(described: Mapping[str, Any]) -> Member:
    """A member by its static name; else by its client id and the end of its member id, which differs."""
    name = described.get("group_instance_id") or f"{described['client_id']}-{described['member_id'][-8:]}"
    assignment = described.get("member_assignment") or {}
    if not isinstance(assignment, Mapping):  # bytes that Kafka's client could not read, or its own class
        assignment = assignment.to_dict() if hasattr(assignment, "to_dict") else {}
    topics = assignment.get("assigned_partitions") or ()
    return Member(name, frozenset((each["topic"], each_) for each in topics for each_ in each["partitions"]))
