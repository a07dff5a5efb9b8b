"""What a port speaks, by what it answers before any login. A client that speaks something else hears only a hang-up."""

import socket
import ssl
import struct

from pintally.schemas.errors import PintallyError
from pintally.streams.settings import KafkaSettings

ASKED = struct.pack(">hhih", 18, 0, 4711, -1)  # ApiVersions, version 0, correlation id, no client id
QUESTION = struct.pack(">i", len(ASKED)) + ASKED
LARGEST = 1 << 20  # bytes of an answer; there are some hundred
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
                wants = "requires a login" if has_login else "has no login"
                return WrongProtocol(
                    f"Kafka at {server.strip()} {wants}, but PINTALLY_KAFKA_SECURITY_PROTOCOL={asked}", REMEDY
                )
    return None


def speaks_kafka(connection: socket.socket) -> str | None:
    """None if the answer is Kafka's; else what the server speaks, for people. Blocks up to the connection's timeout.

    Raises OSError or EOFError if it does not answer, or hangs up.
    """
    connection.sendall(QUESTION)
    begun = _receive(connection, 8)
    length, correlation = struct.unpack(">ii", begun)
    if correlation == 4711 and 4 < length < LARGEST:
        _receive(connection, length - 4)
        return None
    return what_speaks(begun)


def what_speaks(begun: bytes) -> str:
    """What sends these first bytes."""
    if begun.startswith(b"HTTP/"):
        return "HTTP"
    if begun[:2] in (b"\x15\x03", b"\x16\x03"):
        return "TLS"
    if begun.startswith((b"\x02", b"\x00\nClick")) and b"Click" in begun:
        return "ClickHouse's protocol"
    return f"something else (it answers {begun!r})"


def speaks_tls(host: str, port: int, seconds: float) -> bool:
    """Whether the server shakes hands by TLS, whatever its certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:  # an alert is TLS too
        return "ALERT" in (error.reason or "")
    except (OSError, EOFError, ValueError):
        return False


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise EOFError("it hung up without an answer" if not data else "it hung up in the middle of its answer")
        data += piece
    return data


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
