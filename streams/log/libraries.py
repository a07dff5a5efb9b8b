"""What libraries may say in the log: nothing, and at DEBUG what clients say of their connections.

Whatever of it matters ends the process or is said by us, in our words. Their DEBUG lines hold requests, with values of
records and passwords; Faust's and mode's lines may hold the repr of anything. Neither is ever written.
"""

import logging
from typing import Any, Final

from pintally.streams.log.exceptions import named

CLIENTS: Final = ("aiokafka", "kafka", "clickhouse_driver")
SERVICE: Final = "[^"  # with this begin the lines of mode's services, ours among them, under the name of any logger
OURS: Final = "pintally"
LAST_RESORT: Final = "asyncio"  # errors of a task that nobody waits for


class Ours(logging.Filter):
    """Lets our own lines pass, and errors of asyncio."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        return is_ours(record)


class OursAndClients(logging.Filter):
    """Lets our own lines pass, and from INFO on those of the clients of Kafka and ClickHouse."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written; what the line of a client names is shown only if it is plain."""
        if is_ours(record):
            return True
        if record.levelno < logging.INFO or record.name.partition(".")[0] not in CLIENTS:
            return False
        if isinstance(record.args, tuple):
            record.args = tuple(shown(each) for each in record.args)
        else:
            record.msg, record.args = str(record.msg), ()
        return True


def is_ours(record: logging.LogRecord) -> bool:
    """Whether we speak; an error that asyncio alone knows of counts as ours, without what it says of the task."""
    if str(record.msg).startswith(SERVICE):
        return False
    if record.name == LAST_RESORT and record.levelno >= logging.WARNING:
        record.msg, record.args = "%s", (asyncio_words(record.getMessage()),)
        return True
    return record.name.partition(".")[0] == OURS


def asyncio_words(said: str) -> str:
    """What asyncio says of an error, without the repr of a task or a callback and without the data it was given."""
    return said.partition("\n")[0].partition("<")[0].partition("callback ")[0].strip() or "an error in the event loop"


def shown(value: Any) -> Any:
    """An argument of a client's line as the log may have it."""
    if isinstance(value, BaseException):
        return named(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    return value
