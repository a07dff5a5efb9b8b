"""How a worker ends: at once, without another flush and without Faust's stop, to be started anew or for a person to
act.

Any thread may call these. None of them returns, and none waits for a lock, a thread or a reader of the log for longer
than half a second. Who was told to stop is never started anew.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from pintally.schemas.errors import TRY_AGAIN, PintallyError
from pintally.streams.worker.counters import counters
from pintally.streams.worker.signals import leave_as_told, watch

log = logging.getLogger(__name__)

RESTARTED = "PINTALLY_RESTARTED"  # in the environment: how often in a row a worker took its own place
STEADY_SECONDS = 20.0  # who counts so long does not end in a row
LONGEST_PAUSE_SECONDS = 60.0

command: tuple[str, ...] = ()  # how `pintally worker` was started; empty under another supervisor
_began = time.monotonic()


def end_process(reason: str) -> None:
    """Replace this process by a fresh worker (`pintally worker`), or exit 75 for the supervisor to start one."""
    if watch.told:
        leave_as_told(reason)

    def say() -> None:
        log.critical("%s: this worker ends and starts anew", reason)
        counters.set("ready", 0)
        counters.add("restarts")

    watch.end(_start_anew, say, replaces=bool(command))


def refuse(error: PintallyError) -> None:
    """End with the exit code of the error: 2 where starting again would not help until a person has acted."""

    def say() -> None:
        log.critical("this worker ends: %s", error.what)
        counters.add("refusals")
        print(f"error: {error}", file=sys.stderr)

    watch.end(lambda: os._exit(0 if watch.told else error.exit_code), say)


def restarts() -> int:
    """How often in a row workers took their own place before this one."""
    return int(os.environ.get(RESTARTED, "0"))


def pause(sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait before counting begins, longer for each worker in a row that ended by itself: 0, 1, 2, 4, ... 60 s."""
    global _began
    if restarts() > 1:
        seconds = min(2.0 ** (restarts() - 2), LONGEST_PAUSE_SECONDS)
        log.warning("started anew %d times in a row: counting begins in %.0f s", restarts(), seconds)
        sleep(seconds)
    _began = time.monotonic()


def _start_anew() -> None:
    if watch.told:
        os._exit(0)
    if command:
        in_a_row = restarts() + 1 if time.monotonic() - _began < STEADY_SECONDS else 1
        os.environ[RESTARTED] = str(in_a_row)
        with suppress(OSError):  # Python itself was upgraded away: the supervisor may know better
            os.execv(command[0], command)
    os._exit(TRY_AGAIN)
