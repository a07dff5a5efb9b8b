"""Is Kafka there, and does it speak what the settings say? Asked before a client is made, which would only wait."""

import socket
import ssl
import time

from pintally.schemas.errors import KafkaRefused, KafkaUnavailable
from pintally.streams.kafka.protocol import speaks_kafka, speaks_tls

CONNECT_SECONDS = 5.0  # how long its port may stay closed, so that a restarting broker is waited for
ANSWER_SECONDS = 10.0  # how long its first answer may take
PAUSE_SECONDS = 0.2
HUNG_UP = (ConnectionError, EOFError)

_answered: dict[str, str] = {}  # bootstrap servers -> the one that answered last: one that hangs is waited for once


def reach(kafka: str, protocol: str, tls: ssl.SSLContext | None) -> str:
    """Return the first of the servers, host:port, that answers as Kafka. Blocking.

    Raises KafkaUnavailable if none does, KafkaRefused for a certificate that is not trusted and for another
    protocol than `protocol`, which is one of Kafka's four.
    """
    give_up = time.monotonic() + CONNECT_SECONDS
    while True:
        for server in sorted(map(str.strip, kafka.split(",")), key=lambda server: server != _answered.get(kafka)):
            host, _, port = server.rpartition(":")
            try:
                _ask(server, host.strip("[]"), int(port), protocol, tls)
            except (OSError, EOFError, OverflowError, ValueError) as error:
                reason: Exception = error
                continue
            _answered[kafka] = server
            return server
        if time.monotonic() > give_up or not isinstance(reason, HUNG_UP):
            raise unavailable(kafka, reason)
        time.sleep(PAUSE_SECONDS)


def unavailable(kafka: str, reason: Exception) -> KafkaUnavailable:
    """Nobody answers at these servers."""
    return KafkaUnavailable(
        f"Kafka does not answer at {kafka} ({reason})",
        "Set PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the host:port of a running Kafka and PINTALLY_KAFKA_SECURITY_PROTOCOL "
        "to what it speaks there, or start the local engines with `pintally up`.",
    )


def _ask(server: str, host: str, port: int, protocol: str, tls: ssl.SSLContext | None) -> None:
    with socket.create_connection((host, port), timeout=CONNECT_SECONDS) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            with tls.wrap_socket(connection, server_hostname=host) if tls else connection as asked:
                speaks = speaks_kafka(asked)
        except ssl.SSLCertVerificationError as error:
            raise KafkaRefused(
                f"Kafka at {server} presents a certificate that is not trusted: {error.verify_message}",
                "Set PINTALLY_KAFKA_CA_FILE to the certificates of its authority, or PINTALLY_KAFKA_BOOTSTRAP_SERVERS "
                "to the name in its certificate.",
            ) from error
        except ssl.SSLEOFError:  # it hung up
            if not _speaks_without_tls(host, port):
                raise EOFError("it hung up while shaking hands by TLS") from None
            speaks = "Kafka's protocol without TLS"
        except ssl.SSLError as error:
            raise KafkaRefused(
                f"Kafka at {server} does not agree on TLS: {error.reason or error}",
                "Check PINTALLY_KAFKA_SECURITY_PROTOCOL and that the port is one for TLS; where Kafka asks for a "
                "certificate, set PINTALLY_KAFKA_CERT_FILE and PINTALLY_KAFKA_KEY_FILE.",
            ) from error
        except HUNG_UP:
            if tls or not speaks_tls(host, port, CONNECT_SECONDS):
                raise
            speaks = "TLS"
    if speaks:
        raise _wrong_protocol(server, protocol, speaks)


def _speaks_without_tls(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS) as connection:
            return speaks_kafka(connection) is None
    except (OSError, EOFError):
        return False


def _wrong_protocol(server: str, asked: str, speaks: str) -> KafkaRefused:
    """What answers there is no Kafka, or Kafka with TLS where none was asked for, or the reverse."""
    if speaks == "TLS":
        protocol = "SASL_SSL" if asked.startswith("SASL") else "SSL"
        remedy = (
            f"Set PINTALLY_KAFKA_SECURITY_PROTOCOL={protocol}, or PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the port "
            "without TLS."
        )
    elif "without TLS" in speaks:
        protocol = "SASL_PLAINTEXT" if asked.startswith("SASL") else "PLAINTEXT"
        remedy = (
            f"Set PINTALLY_KAFKA_SECURITY_PROTOCOL={protocol}, or PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the port "
            "with TLS."
        )
    else:
        remedy = "Set PINTALLY_KAFKA_BOOTSTRAP_SERVERS to the host:port at which Kafka's clients connect."
    return KafkaRefused(
        f"{server} does not speak Kafka's protocol by {asked}: it speaks {speaks}, wrong protocol or wrong port", remedy
    )
