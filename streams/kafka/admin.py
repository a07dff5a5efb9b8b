"""One short-lived admin connection to Kafka, by kafka-python, which knows topic ids."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import aiokafka.errors
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    AuthorizationError,
    BrokerNotAvailableError,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    FencedLeaderEpochError,
    KafkaError,
    LeaderNotAvailableError,
    NotCoordinatorError,
    NotLeaderForPartitionError,
    OffsetNotAvailableError,
    RetriableError,
    SaslAuthenticationFailedError,
    UnknownBrokerIdError,
    UnknownLeaderEpochError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient

from pintally.schemas.errors import KafkaRefused, PintallyError
from pintally.streams.kafka.clients import kafka_options
from pintally.streams.kafka.fetching.connection import try_login
from pintally.streams.kafka.protocol import wrong_protocol
from pintally.streams.kafka.reach import reach, unavailable
from pintally.streams.kafka.rights import forbidden
from pintally.streams.settings import KafkaSettings

LOWEST_VERSION = (3, 6)  # its topics have message.timestamp.after.max.ms, which bounds what a producer's clock can do
ANSWER_SECONDS = 10.0  # how long Kafka may take to answer a question
PATIENCE_MS = int(ANSWER_SECONDS * 1000)
# Errors that pass by themselves. A broker that is stopping names no leader, and the client looks for broker -1.
TRANSIENT = (RetriableError, UnknownBrokerIdError, BrokerNotAvailableError)
COORDINATOR_CHANGES = (CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)
LEADER_CHANGES = (
    OffsetNotAvailableError,
    LeaderNotAvailableError,
    NotLeaderForPartitionError,
    FencedLeaderEpochError,
    UnknownLeaderEpochError,
)

# The client logs every refused connection as an error; KafkaUnavailable says it once.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

T = TypeVar("T")


class KafkaTooOld(PintallyError):
    """The broker is of a version that no test of ours runs on."""


class AdminClient(KafkaAdminClient):  # type: ignore[misc]
    """kafka-python's, which also says how many brokers there are."""

    def broker_count(self) -> int:
        """How many Kafka has now. Not by describe_cluster(), which fails with brokers before 3.7."""
        return len(self._client.cluster.brokers())


@contextmanager
def open_admin(kafka: KafkaSettings) -> Iterator[AdminClient]:
    """An admin client, closed at the end.

    Raises KafkaUnavailable after about ten seconds without an answer; KafkaRefused for a login or a certificate that
    is not accepted, for what is no Kafka, and for any other error of Kafka; WrongProtocol; RightMissing;
    KafkaTooOld; LoginIncomplete.
    """
    servers, options = kafka.bootstrap_servers, kafka_options(kafka)
    # The client would wait for a server that hangs as long as for all, and leaves sockets of those that refuse open.
    options["bootstrap_servers"] = [reach(servers, options["security_protocol"], options.get("ssl_context"))]
    if refused := _refused_login(kafka):
        raise refused
    opened: list[KafkaNetClient] = []

    def client(**options: Any) -> KafkaNetClient:
        opened.append(KafkaNetClient(**options))
        return opened[0]

    try:
        with AdminClient(
            **options,
            bootstrap_timeout_ms=PATIENCE_MS,
            request_timeout_ms=PATIENCE_MS,
            kafka_client=client,
        ) as admin:
            refuse_old(servers, opened[0].get_broker_version())
            yield admin
    except (SaslAuthenticationFailedError, UnsupportedSaslMechanismError) as error:
        raise _login(kafka, error) from error
    except AuthorizationError as error:
        raise forbidden(kafka, error, {}) from error
    except TRANSIENT as error:
        raise wrong_protocol(kafka) or unavailable(servers, error) from error
    except KafkaError as error:
        raise KafkaRefused(f"Kafka at {kafka} refused: {error}", "See the broker's log for the reason.") from error
    finally:
        # An admin client whose bootstrap fails is never handed to us, and leaves its thread and sockets open.
        for each in opened:
            each.close()
            each._manager._net.stop()


def retry_while_loading(ask: Callable[[], T]) -> T:
    """Ask again while Kafka makes its offsets topic, which it does on the first question about a group."""
    return _retry(ask, COORDINATOR_CHANGES)


def retry_while_electing(ask: Callable[[], T]) -> T:
    """Ask again while a partition changes its leader: the new one knows the end of its log a moment later."""
    return _retry(ask, LEADER_CHANGES)


def _retry(ask: Callable[[], T], passing: tuple[type[KafkaError], ...]) -> T:
    give_up = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return ask()
        except passing:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


def refuse_old(kafka: str, version: tuple[int, ...] | None) -> None:
    """Refuse a broker at `kafka` that speaks the protocol of a `version` below the lowest one. Raises KafkaTooOld.

    Brokers do not tell their version: the client infers it from the requests that they take, so it may be None for one
    that has not said which.
    """
    if version is not None and version < LOWEST_VERSION:
        raise KafkaTooOld(
            f"Kafka at {kafka} speaks the protocol of version {_dotted(version)}, which is older than "
            f"{_dotted(LOWEST_VERSION)}: its topics lack message.timestamp.after.max.ms",
            f"Upgrade the brokers to {_dotted(LOWEST_VERSION)} or newer; docs/compatibility.md lists what was run.",
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _refused_login(kafka: KafkaSettings) -> KafkaRefused | None:
    """The reason, if it is the login. kafka-python only sees that the broker hangs up; aiokafka hears why."""
    options = kafka_options(kafka)
    if "sasl_mechanism" not in options:
        return None
    servers = options.pop("bootstrap_servers")

    host, _, port = servers[0].rpartition(":")
    try:
        asyncio.run(try_login(host.strip("[]"), int(port), request_timeout_ms=PATIENCE_MS, **options))
    except (aiokafka.errors.SaslAuthenticationFailed, aiokafka.errors.UnsupportedSaslMechanismError) as error:
        return _login(kafka, error)
    except (aiokafka.errors.KafkaError, OSError):
        return None
    return None


def _login(kafka: KafkaSettings, error: Exception) -> KafkaRefused:
    return KafkaRefused(
        f"Kafka at {kafka} refused the login of user {kafka.username!r} by {kafka.sasl_mechanism}: {error}",
        "Set PINTALLY_KAFKA_USERNAME, PINTALLY_KAFKA_PASSWORD and PINTALLY_KAFKA_SASL_MECHANISM.",
    )
