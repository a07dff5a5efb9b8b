"""What systemd is told if it started this process with `Type=notify`: that it runs, and that its event loop answers.

The protocol is sd_notify(3): a datagram with lines NAME=value to the socket in NOTIFY_SOCKET. Without one nothing is
told. No library: what there is on PyPI is not maintained, or needs libsystemd.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

ANSWERS = 3  # in the time of the watchdog


def tell(**state: str) -> None:
    """Tell systemd, for instance READY="1" or STATUS="counts 4 sources". Never fails and never waits."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.setblocking(False)
        lines = "\n".join(f"{name}={value}" for name, value in state.items())
        out.sendto(lines.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def watchdog_seconds() -> float | None:
    """How long this process may be silent before systemd ends it; None if it does not watch."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or pid not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 1e6


async def answer(sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep) -> None:
    """Tell systemd again and again that the loop which runs this answers. Returns at once if it does not watch."""
    seconds = watchdog_seconds()
    while seconds:
        tell(WATCHDOG="1")
        await sleep(seconds / ANSWERS)
