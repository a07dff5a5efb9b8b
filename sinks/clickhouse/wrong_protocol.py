"""Detects a server with another protocol at the native port of ClickHouse. Trying again does not help then."""

import socket
import ssl
import struct

from clickhouse_driver.errors import NetworkError, UnexpectedPacketFromServerError, UnknownPacketFromServerError

from pintally.schemas.errors import SinkError
from pintally.sinks.clickhouse.address import ClickHouseAddress

# What the driver raises when it reads an answer that is none.
SENSELESS = (
    UnexpectedPacketFromServerError, UnknownPacketFromServerError, ValueError, OverflowError, MemoryError, LookupError,
    struct.error,
)  # fmt: skip
PROBE_SECONDS = 5.0
NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL")


def wrong_protocol(error: Exception, address: ClickHouseAddress) -> SinkError | None:
    """What is wrong if a connection fails by `error` before ClickHouse has said hello; None if it may pass by itself.

    Connects once more where the server hung up: one that waits for TLS does.
    """
    where = f"{address.host}:{address.port}"
    if address.secure and any(reason in str(error) for reason in NO_TLS):
        return SinkError(
            f"{where} does not speak TLS, wrong protocol or wrong port",
            "Set PINTALLY_CLICKHOUSE_PORT to ClickHouse's native port for TLS (usually 9440), or "
            "PINTALLY_CLICKHOUSE_SECURE=false.",
        )
    if isinstance(error, SENSELESS):
        return SinkError(
            f"{where} does not speak ClickHouse's native protocol, wrong protocol or wrong port",
            "Set PINTALLY_CLICKHOUSE_PORT to ClickHouse's native port (usually 9000, with TLS 9440), not the one for "
            "HTTP (8123).",
        )
    if not address.secure and isinstance(error, (EOFError, ConnectionError, NetworkError)) and _speaks_tls(address):
        return SinkError(
            f"{where} speaks TLS, wrong protocol or wrong port",
            "Set PINTALLY_CLICKHOUSE_SECURE=true, or PINTALLY_CLICKHOUSE_PORT to the port without TLS (usually 9000).",
        )
    return None


def _speaks_tls(address: ClickHouseAddress) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=PROBE_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=address.host),
        ):
            return True
    except (OSError, EOFError, ValueError):
        return False
