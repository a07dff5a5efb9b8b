"""Detects a server that does not speak HTTP, or TLS on one side only."""

import socket
import ssl
from http.client import BadStatusLine, RemoteDisconnected

PORT = (
    "Set PINTALLY_CLICKHOUSE_HTTP_PORT to ClickHouse's HTTP port (usually 8123, with TLS 8443), not to the native one."
)
PROBE_SECONDS = 5.0


def wrong_protocol(error: Exception, host: str, port: int, secure: bool) -> tuple[str, str] | None:
    """Returns what is wrong and the remedy; None if trying again may help. May connect once more to find out."""
    if secure and isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return f"does not agree on TLS ({error.reason})", f"{PORT} Or set PINTALLY_CLICKHOUSE_SECURE=false."
    if isinstance(error, RemoteDisconnected | ConnectionError):
        if not secure and _speaks_tls(host, port):
            return "speaks TLS", "Set PINTALLY_CLICKHOUSE_SECURE=true, or PINTALLY_CLICKHOUSE_HTTP_PORT to one without."
        return None
    if isinstance(error, BadStatusLine) and "HTTP/" not in str(error):  # else it was cut off
        return "does not speak HTTP", PORT
    return None


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=PROBE_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except (OSError, EOFError, ValueError):
        return False
