"""One short-lived admin connection to Kafka, by kafka-python, which knows topic ids."""

import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka.admin import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError, KafkaError, RetriableError
from kafka.net.compat import KafkaNetClient

from schemas.errors import PintallyError

ANSWER_SECONDS = 10.0  # how long Kafka may take to answer a question
CONNECT_SECONDS = 5.0  # how long its port may stay closed, so that a restarting broker is waited for

# The client logs every refused connection as an error; KafkaUnavailable says it once.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

T = TypeVar("T")


class KafkaUnavailable(PintallyError):
    """Nobody answers as Kafka at the address."""


class KafkaRefused(PintallyError):
    """Kafka answered, and said no."""


@contextmanager
def open_admin(kafka: str) -> Iterator[KafkaAdminClient]:
    """An admin client for bootstrap servers `kafka` (host:port, separated by commas), closed at the end.

    Raises KafkaUnavailable after about ten seconds without an answer, KafkaRefused for any other error of Kafka.
    """
    _await_port(kafka)
    opened: list[KafkaNetClient] = []

    def client(**options: Any) -> KafkaNetClient:
        opened.append(KafkaNetClient(**options))
        return opened[0]

    patience = int(ANSWER_SECONDS * 1000)
    try:
        with KafkaAdminClient(
            bootstrap_servers=kafka.split(","),
            bootstrap_timeout_ms=patience,
            request_timeout_ms=patience,
            kafka_client=client,
        ) as admin:
            yield admin
    except RetriableError as error:
        raise _unavailable(kafka, error) from error
    except KafkaError as error:
        raise KafkaRefused(f"Kafka at {kafka} refused: {error}", "See the broker's log for the reason.") from error
    finally:
        # An admin client whose bootstrap fails is never handed to us, and leaves its thread and sockets open.
        for each in opened:
            each.close()
            each._manager._net.stop()


def patiently(ask: Callable[[], T]) -> T:
    """Ask again while Kafka makes its offsets topic, which it does on the first question about a group."""
    give_up = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return ask()
        except CoordinatorNotAvailableError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)


def _await_port(kafka: str) -> None:
    """Return when any of the servers accepts a connection. (kafka-python leaks a socket for each refused one.)"""
    give_up = time.monotonic() + CONNECT_SECONDS
    while True:
        for server in kafka.split(","):
            host, _, port = server.strip().rpartition(":")
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
                return
            except (OSError, OverflowError, ValueError) as error:
                reason: Exception = error
        if time.monotonic() > give_up or not isinstance(reason, ConnectionError):
            raise _unavailable(kafka, reason)
        time.sleep(0.2)


def _unavailable(kafka: str, reason: Exception) -> KafkaUnavailable:
    return KafkaUnavailable(
        f"Kafka does not answer at {kafka} ({reason})",
        "Set PINTALLY_KAFKA to the host:port of a running Kafka, or start the local engines with `pintally up`.",
    )
