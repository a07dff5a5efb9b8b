"""Sets a process's log up: `log_to_stderr` is all that a command calls.

Levels: CRITICAL, this process ends. ERROR, a person must look, and nothing repeats it. WARNING, something waits, and
goes on by itself. INFO, what a process does. DEBUG adds what the libraries do.
"""

import logging
import sys
from typing import Final, Literal

from pintally.streams.log.formats import JsonFormatter, TextFormatter
from pintally.streams.log.repeated import Repeated

Format = Literal["text", "json"]

# Each of their errors that matters ends the process or is said by us, in our words.
LIBRARIES: Final = ("faust", "mode", "aiokafka", "kafka", "clickhouse_driver", "aiohttp.access")
SERVICE = "[^"  # with this begin the lines of mode's services, ours among them, under the name of any logger


class WithoutLibraries(logging.Filter):
    """Leaves out what libraries say of their own work."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is ours."""
        return not is_of_a_library(record)


class LibrariesInBrief(logging.Filter):
    """Leaves out what libraries say at DEBUG: it may hold requests with values of records."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is ours, or at INFO at least."""
        return record.levelno >= logging.INFO or not is_of_a_library(record)


def is_of_a_library(record: logging.LogRecord) -> bool:
    """Whether a library speaks, not we. All that is not ours counts as a library below WARNING."""
    if str(record.msg).startswith(SERVICE) or record.name.startswith(LIBRARIES):
        return True
    return record.levelno < logging.WARNING and not record.name.startswith("pintally")


def log_to_stderr(level: str, style: Format) -> None:
    """Write the log of this process to stderr from now on, and nothing of it elsewhere. May be called again.

    `level` is a name of `logging`; raises ValueError if it is none.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    handler.addFilter(LibrariesInBrief() if level.upper() == "DEBUG" else WithoutLibraries())
    handler.addFilter(Repeated())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
