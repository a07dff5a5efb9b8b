"""Reads the source log with kafka-python: read_committed, partitions assigned by hand, no group, nothing committed."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from socket import create_connection
from types import MappingProxyType, TracebackType
from uuid import UUID

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    OffsetOutOfRangeError,
    SaslAuthenticationFailedError,
    UnsupportedCodecError,
    UnsupportedSaslMechanismError,
)

from pintally.audit.addresses import Addresses
from pintally.audit.batches import read_batches
from pintally.audit.errors import CannotTell, CannotTellNow
from pintally.audit.records import Records, columns_of
from pintally.audit.waiting import Waiting

SILENCE_SECONDS = 60.0  # without progress; longer than the election of a leader
CONNECT_SECONDS = 5.0
FETCH_BYTES = 16 << 20
FEW_BYTES = 1 << 20  # for who reads a little here and there
UNKNOWN_TOPIC = 3  # Kafka's error code UNKNOWN_TOPIC_OR_PARTITION
FORBIDDEN_TOPIC = 29  # TOPIC_AUTHORIZATION_FAILED

logging.getLogger("kafka").addHandler(logging.NullHandler())  # errors are raised


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive records of a log up to `end`. Offsets without a record since the last piece are gaps."""

    records: Records
    end: int


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition as Kafka lists it now. [start, end) is readable; `end` is the last stable offset."""

    topic: str
    topic_id: UUID
    partition: int
    start: int
    end: int


class Log:
    """One consumer, and questions about topics. Raises CannotTell if Kafka does not answer."""

    def __init__(self, addresses: Addresses, *, committed: bool = True, fetch_bytes: int = FETCH_BYTES) -> None:
        """Read committed records; or all records, also those of open and aborted transactions."""
        bootstrap = addresses.kafka
        self._bootstrap = [server.strip() for server in bootstrap.split(",")]
        self._options = dict(addresses.kafka_options)
        _check_reachable(self._bootstrap)
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=self._bootstrap,
                **self._options,
                group_id=None,
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                auto_offset_reset="none",
                isolation_level="read_committed" if committed else "read_uncommitted",
                check_crcs=find_spec("crc32c") is not None,  # in pure Python ten times slower than everything else
                max_poll_records=1,  # see read_batches
                max_partition_fetch_bytes=fetch_bytes,
                metrics_enabled=False,
                bootstrap_timeout_ms=15_000,
            )
        except (KafkaError, OSError, ValueError) as error:
            raise _unavailable(bootstrap, error) from error
        read_batches(self._consumer)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._consumer.close(autocommit=False)

    def partitions(
        self, topics: Sequence[str], known: Mapping[tuple[str, UUID], UUID] = MappingProxyType({})
    ) -> list[Partition]:
        """Returns every partition of the topics with its current bounds. Topics that Kafka does not have are left out.

        `known` maps topic and UUID in Kafka to the UUID in start rows, if they differ.
        """
        try:
            found = self._describe(topics)
            named = [TopicPartition(topic, partition) for topic, _, partition in found]
            starts, ends = self._consumer.beginning_offsets(named), self._consumer.end_offsets(named)
        except (KafkaError, OSError) as error:
            raise _unavailable(",".join(self._bootstrap), error) from error
        return [
            Partition(topic, known.get((topic, topic_id), topic_id), partition, starts[at], ends[at])
            for (topic, topic_id, partition), at in zip(found, named, strict=True)
        ]

    def starts(self, partitions: Sequence[Partition], since_ms: int | None) -> dict[Partition, int]:
        """Returns the first offset of each partition whose Kafka timestamp is >= `since_ms`; its start if None."""
        if since_ms is None or not partitions:
            return {at: at.start for at in partitions}
        named = {TopicPartition(at.topic, at.partition): at for at in partitions}
        try:
            found = self._consumer.offsets_for_times(dict.fromkeys(named, max(0, since_ms)))
        except (KafkaError, OSError) as error:
            raise _unavailable(",".join(self._bootstrap), error) from error
        return {at: found[name].offset if found.get(name) else at.end for name, at in named.items()}

    def _describe(self, topics: Sequence[str]) -> list[tuple[str, UUID, int]]:
        admin = KafkaAdminClient(bootstrap_servers=self._bootstrap, **self._options)
        try:
            described = admin.describe_topics(list(topics))
        finally:
            admin.close()
        if forbidden := [topic["name"] for topic in described if topic["error_code"] == FORBIDDEN_TOPIC]:
            raise _forbidden(f"the right Describe on topic {', '.join(forbidden)} is missing", "Describe", forbidden)
        return [
            (topic["name"], UUID(str(topic["topic_id"])), partition["partition_index"])
            for topic in described
            if topic["error_code"] != UNKNOWN_TOPIC
            for partition in topic["partitions"]
        ]

    def waiting(self, partitions: Sequence[Partition]) -> list[Waiting]:
        """Returns the partitions that an open transaction blocks, and its producer if it is known."""
        named = {TopicPartition(at.topic, at.partition): at for at in partitions}
        if not named:
            return []
        try:
            admin = KafkaAdminClient(bootstrap_servers=self._bootstrap, **self._options)
            try:
                ends = admin.list_partition_offsets(
                    dict.fromkeys(named, OffsetSpec.LATEST), isolation_level="read_uncommitted"
                )
                # A transaction that began since `partitions` were listed is not among what was to be read.
                held = {name: at for name, at in named.items() if ends[name].offset > at.end}
                return [_waiting(admin, name, at.end, ends[name].offset) for name, at in held.items()]
            finally:
                admin.close()
        except (KafkaError, OSError) as error:
            raise _unavailable(",".join(self._bootstrap), error) from error

    def read(self, topic: str, partition: int, start: int) -> Iterator[Piece]:
        """Yields the log from `start` on. The caller must know that there is more before it asks for more.

        Raises CannotTell if Kafka does not answer, has deleted the offset, or uses an unknown codec.
        """
        at = TopicPartition(topic, partition)
        self._consumer.assign([at])
        self._consumer.seek(at, start)
        position, heard = start, time.monotonic()
        while True:
            try:
                found = self._consumer.poll(1000).get(at, [])
                reached = self._consumer.position(at, timeout_ms=10_000)
            except OffsetOutOfRangeError as error:
                raise _overtaken(topic, partition, position) from error
            except UnsupportedCodecError as error:
                raise _packed(topic, partition, position, error) from error
            except AuthorizationError as error:
                what = f"{topic}[{partition}] at offset {position}: the right Read on topic {topic} is missing"
                raise _forbidden(what, "Read", [topic]) from error
            except KafkaError as error:
                raise _unavailable(f"{topic}[{partition}] at offset {position}", error) from error
            if reached is not None and reached > position:
                for records in columns_of(found):
                    if len(some := records.between(position, reached)):
                        position = int(some.offsets[-1]) + 1
                        yield Piece(some, position)
                if reached > position:  # gaps behind the last record
                    yield Piece(Records.of(()), reached)
                position, heard = reached, time.monotonic()
            elif time.monotonic() - heard > SILENCE_SECONDS:
                raise _unavailable(f"{topic}[{partition}] at offset {position}", TimeoutError(f"{SILENCE_SECONDS} s"))


def _waiting(admin: KafkaAdminClient, at: TopicPartition, stable: int, end: int) -> Waiting:
    try:
        producers = admin.describe_producers([at])[at].active_producers
    except AuthorizationError:
        return Waiting(at.topic, at.partition, stable, end)
    for each in producers:
        if each.current_transaction_start_offset == stable:
            return Waiting(at.topic, at.partition, stable, end, each.producer_id, each.last_timestamp)
    return Waiting(at.topic, at.partition, stable, end, last_ms=int(time.time() * 1000))  # it has just ended


def _check_reachable(servers: Sequence[str]) -> None:
    """Fail within seconds if no server answers; the client would retry for long, and leave sockets open."""
    error: Exception = ValueError("no server is named")
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            with create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS):
                return
        except (OSError, ValueError) as found:
            error = found
    raise _unavailable(",".join(servers), error) from error


def _unavailable(what: str, error: Exception) -> CannotTell:
    if isinstance(error, (SaslAuthenticationFailedError, UnsupportedSaslMechanismError)):
        return CannotTell(
            f"Kafka refused the login: {what} ({error})",
            "Set PINTALLY_KAFKA_USERNAME, PINTALLY_KAFKA_PASSWORD and PINTALLY_KAFKA_SASL_MECHANISM.",
        )
    if isinstance(error, AuthorizationError):
        return CannotTell(f"Kafka forbids it: {what} ({error})", "Grant what docs/security.md lists.")
    detail = f"{type(error).__name__}: {error}"
    return CannotTellNow(
        f"Kafka does not answer: {what} ({detail})",
        "Start Kafka, or set PINTALLY_KAFKA_BOOTSTRAP_SERVERS to where it is and PINTALLY_KAFKA_SECURITY_PROTOCOL to "
        "what it speaks.",
    )


def _forbidden(what: str, operation: str, topics: Sequence[str]) -> CannotTell:
    named = " ".join(f"--topic '{topic}'" for topic in topics)
    return CannotTell(
        f"Kafka forbids it: {what}",
        f"Grant it: `kafka-acls.sh --add --allow-principal 'User:<our user>' --operation {operation} {named}`.",
    )


def _overtaken(topic: str, partition: int, position: int) -> CannotTell:
    what = f"{topic}[{partition}]: Kafka deleted offset {position} while it was being read"
    return CannotTellNow(what, "Run verify again; raise the topic's retention.ms if that happens often.")


def _packed(topic: str, partition: int, position: int, error: Exception) -> CannotTell:
    what = f"{topic}[{partition}] at offset {position}: {error}"
    return CannotTell(what, "Install the codec for kafka-python: python-snappy or zstandard.")
