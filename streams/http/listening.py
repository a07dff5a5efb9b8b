"""The address that a server listens on: taken before anything starts, so that a bad one is said at once."""

import errno
import socket
from dataclasses import dataclass

from pintally.schemas.errors import PintallyError

BACKLOG = 128  # connections that wait until somebody serves them


class AddressRefused(PintallyError):
    """The host and port cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that listens. Connections wait in it while nobody serves; see `serving`."""

    socket: socket.socket
    host: str

    @property
    def port(self) -> int:
        """The port; the one that was free, where 0 was asked for."""
        return int(self.socket.getsockname()[1])

    @property
    def target(self) -> str:
        """Host and port, as Prometheus writes a target."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Its address, without a path or a final slash."""
        return f"http://{self.target}"

    def close(self) -> None:
        """Give it back. Not needed where the process ends."""
        self.socket.close()


def listen(host: str, port: int, setting: str) -> Listening:
    """Take host and port; port 0 is any that is free. `setting` begins the names of the two settings that say which.

    `setting` is for instance PINTALLY_METRICS: the remedy names PINTALLY_METRICS_HOST or PINTALLY_METRICS_PORT. Raises
    AddressRefused, with the remedy.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return Listening(socket.create_server((host, port), family=family, backlog=BACKLOG), host)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"{host}:{port} cannot be listened on: {_why(error)}", _remedy(error, setting)) from error


def _why(error: OSError | UnicodeError) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return "another process listens there"
    if number == errno.EADDRNOTAVAIL:
        return "no interface of this machine has this address"
    if number in (errno.EACCES, errno.EPERM):
        return "this user may not listen on this port"
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "no address has this name"
    return error.strerror or repr(error)


def _remedy(error: OSError | UnicodeError, setting: str) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES, errno.EPERM):
        return f"Set {setting}_PORT to another port, or to 0 for any that is free."
    return f"Set {setting}_HOST to an address of this machine: 127.0.0.1, or 0.0.0.0 for all."
