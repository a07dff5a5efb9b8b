"""A worker that must begin anew: it ends at once, without another tick, and is started again from nothing."""

import logging
import os
import sys

log = logging.getLogger(__name__)

RESTART_EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: start me again

command: tuple[str, ...] = ()  # how `pintally worker` was started; empty under another supervisor


def end_process(reason: str) -> None:
    """Replace this process by a fresh worker (`pintally worker`), or exit 75 for the supervisor to start one."""
    log.critical("%s: this worker ends and starts anew", reason)
    sys.stderr.flush()
    if command:
        os.execv(command[0], command)
    os._exit(RESTART_EXIT_CODE)
