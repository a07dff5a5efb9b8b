"""TCP ports on loopback."""

import os
import random
import socket
from collections import deque
from collections.abc import Container
from pathlib import Path

from pintally.schemas.errors import PintallyError

LOOPBACK = "127.0.0.1"
LOWEST = 15_000
KEPT = 200  # ports that a process keeps for itself, the last ones it chose

_kept: deque[int] = deque()  # file descriptors


def is_free(port: int) -> bool:
    """Whether a server could listen on loopback now."""
    try:
        _try(port)
    except OSError:
        return False
    return True


def _try(port: int) -> None:
    """Raises OSError if no server of this user could listen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not matter
        probe.bind((LOOPBACK, port))


def free_port(taken: Container[int] = ()) -> int:
    """A free port that no outgoing connection will be given, so that it is still free at a restart.

    No other process is given it by this function while this one runs and keeps it.
    """
    candidates = range(LOWEST, _first_ephemeral())
    for port in random.sample(candidates, len(candidates)):
        if port not in taken and _keep(port):
            return port
    raise PintallyError("no free TCP port on loopback", "End programs that listen on many ports.")


def _keep(port: int) -> bool:
    """Bind a socket to a free port; False if it is not free, or another process keeps it.

    The socket never listens, and servers set SO_REUSEADDR, so it keeps no server away. But this function binds without
    that option, which is set only afterwards: two processes cannot keep one port.
    """
    kept = socket.socket()
    try:
        kept.bind((LOOPBACK, port))
    except OSError:
        kept.close()
        return False
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _kept.append(kept.detach())
    if len(_kept) > KEPT:
        os.close(_kept.popleft())
    return True


def _first_ephemeral() -> int:
    """Where the range starts from which Linux takes ports of outgoing connections."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 32_768  # Linux's default
    return first if first >= LOWEST + 1_000 else 65_536


def given_port(port: int, name: str) -> int:
    """`port`, which somebody asked for as `name`. Raises PintallyError if it is in use, or not for this user."""
    try:
        _try(port)
    except PermissionError as error:
        raise PintallyError(
            f"user {os.getuid()} may not listen on port {port} ({name})", "Choose a higher one."
        ) from error
    except OSError as error:
        raise PintallyError(
            f"port {port} ({name}) is in use on {LOOPBACK}", "Choose another, or end the program that listens there."
        ) from error
    return port
