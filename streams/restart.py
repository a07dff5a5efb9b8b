"""How a worker ends at once, without another tick: to be started anew, or because a person must act."""

import logging
import os
import sys

from schemas.errors import TRY_AGAIN, PintallyError

log = logging.getLogger(__name__)

RESTARTED = "PINTALLY_RESTARTED"  # in the environment of a process that took a worker's place

command: tuple[str, ...] = ()  # how `pintally worker` was started; empty under another supervisor


def end_process(reason: str) -> None:
    """Replace this process by a fresh worker (`pintally worker`), or exit 75 for the supervisor to start one."""
    log.critical("%s: this worker ends and starts anew", reason)
    sys.stderr.flush()
    if command:
        os.environ[RESTARTED] = "1"
        os.execv(command[0], command)
    os._exit(TRY_AGAIN)


def refuse(error: PintallyError) -> None:
    """End with the exit code of the error: 2 where starting again would not help until a person has acted."""
    log.critical("this worker ends: %s", error.what)
    print(f"error: {error}", file=sys.stderr, flush=True)
    os._exit(error.exit_code)


def is_restarted() -> bool:
    """Whether this process took the place of a worker that ended itself: its settings were right once."""
    return RESTARTED in os.environ
