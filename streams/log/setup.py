"""Sets a process's log up: `log_to_stderr` is all that a command calls.

Levels: CRITICAL, this process ends. ERROR, a person must look, and nothing repeats it. WARNING, something waits or is
wrong and goes on by itself; also that this is over. INFO, what a process does. DEBUG adds details, and what the clients
of Kafka and ClickHouse say.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any, Literal

from pintally.schemas.errors import PintallyError
from pintally.streams.log.exceptions import named
from pintally.streams.log.formats import JsonFormatter, TextFormatter
from pintally.streams.log.libraries import Ours, OursAndClients
from pintally.streams.log.repeated import Repeated

Format = Literal["text", "json"]
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

log = logging.getLogger(__name__)


def refuse_level(level: str) -> None:
    """Raises PintallyError if it is none of LEVELS, in any case of letters."""
    if level.upper() not in LEVELS:
        raise PintallyError(f"--log-level {level}: no level has this name", f"Use one of {', '.join(LEVELS)}.")


def log_to_stderr(level: str, style: Format, instance: str | None = None) -> None:
    """Write the log of this process to stderr from now on, and nothing of it elsewhere. May be called again.

    `level` is one of LEVELS in any case of letters; raises ValueError if it is none.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(instance) if style == "json" else TextFormatter())
    handler.addFilter(OursAndClients() if level.upper() == "DEBUG" else Ours())
    handler.addFilter(Repeated())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)  # of libraries; they are left out as all that libraries say
    logging.raiseExceptions = False  # else a line that cannot be written is printed with what it was given
    sys.excepthook = _ended
    sys.unraisablehook = _ignored
    threading.excepthook = _thread_ended


def _ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Instead of Python's traceback, which shows the text of any exception."""
    if not isinstance(error, KeyboardInterrupt):
        log.critical("this process ends: an error that nobody foresaw", exc_info=(kind, error, trace))


def _thread_ended(ended: Any) -> None:
    """The same of a thread. A worker ends then (fatal.py) once it runs."""
    name = ended.thread.name if ended.thread else "(unknown)"
    error = ended.exc_value or ended.exc_type()
    log.error("thread %s ended: an error that nobody foresaw", name, exc_info=error)


def _ignored(ignored: Any) -> None:
    """Instead of what Python prints of an exception in a destructor."""
    error = ignored.exc_value
    log.debug("an object was not closed cleanly: %s", named(error) if error else ignored.exc_type.__name__)
