"""Does a server speak Kafka's protocol? One question that Kafka answers before any login: which versions it knows."""

import socket
import ssl
import struct

ASKED = struct.pack(">hhih", 18, 0, 4711, -1)  # ApiVersions, version 0, correlation id, no client id
QUESTION = struct.pack(">i", len(ASKED)) + ASKED
LARGEST = 1 << 20  # bytes of an answer; there are some hundred


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
