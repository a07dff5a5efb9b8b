"""TCP ports on loopback."""

import random
import socket
from collections.abc import Container
from pathlib import Path

from pintally.schemas.errors import PintallyError

LOOPBACK = "127.0.0.1"
LOWEST = 15_000


def is_free(port: int) -> bool:
    """Whether a server could listen on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not matter
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port(taken: Container[int] = ()) -> int:
    """A free port that no outgoing connection will be given, so that it is still free at a restart."""
    candidates = range(LOWEST, _first_ephemeral())
    for port in random.sample(candidates, len(candidates)):
        if port not in taken and is_free(port):
            return port
    raise PintallyError("no free TCP port on loopback", "End programs that listen on many ports.")


def _first_ephemeral() -> int:
    """Where the range starts from which Linux takes ports of outgoing connections."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 32_768  # Linux's default
    return first if first >= LOWEST + 1_000 else 65_536


def given_port(port: int, name: str) -> int:
    """`port`, which somebody asked for as `name`. Raises PintallyError if it is in use."""
    if not is_free(port):
        raise PintallyError(
            f"port {port} ({name}) is in use on {LOOPBACK}", "Choose another, or end the program that listens there."
        )
    return port
