"""What a port of Kafka speaks, where a client that speaks something else only hears that it hangs up."""

import socket
import struct

from pintally.schemas.errors import PintallyError
from pintally.streams.kafka.protocol import speaks_tls
from pintally.streams.settings import KafkaSettings

ANSWER_SECONDS = 2.0
# SaslHandshake (17), version 1, correlation id 7, no client id, mechanism PLAIN; the length goes before it.
_REQUEST = struct.pack(">hhihh", 17, 1, 7, -1, 5) + b"PLAIN"
HANDSHAKE = struct.pack(">i", len(_REQUEST)) + _REQUEST
ILLEGAL_SASL_STATE = 34  # the answer where there is no login
REMEDY = (
    "Set PINTALLY_KAFKA_SECURITY_PROTOCOL to what it speaks there, or PINTALLY_KAFKA_BOOTSTRAP_SERVERS to another of "
    "its ports."
)


class WrongProtocol(PintallyError):
    """The port speaks something else than PINTALLY_KAFKA_SECURITY_PROTOCOL says."""


def wrong_protocol(kafka: KafkaSettings) -> WrongProtocol | None:
    """What is wrong with the first server that answers; None if it may be what the settings say."""
    asked = kafka.security_protocol
    for server in kafka.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        at = host.strip("[]"), int(port)
        if not asked.endswith("SSL"):
            if speaks_tls(*at, ANSWER_SECONDS):
                return WrongProtocol(f"Kafka at {server.strip()} speaks TLS, {asked} does not", REMEDY)
            if (has_login := _has_login(at)) is not None and has_login is not asked.startswith("SASL"):
                wants = "wants a login" if has_login else "knows no login"
                return WrongProtocol(f"Kafka at {server.strip()} {wants}, not as {asked} would have it", REMEDY)
    return None


def _has_login(at: tuple[str, int]) -> bool | None:
    """Whether the port lets nobody in without a login; None if it does not answer as Kafka would."""
    try:
        with socket.create_connection(at, ANSWER_SECONDS) as connection:
            connection.sendall(HANDSHAKE)
            answer = b""
            while len(answer) < 10 and (part := connection.recv(10 - len(answer))):
                answer += part
    except OSError:
        return None
    return struct.unpack(">h", answer[8:10])[0] != ILLEGAL_SASL_STATE if len(answer) == 10 else None
