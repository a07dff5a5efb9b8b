"""How a line of the log looks: text for people, JSON for machines."""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from pintally.streams.log.exceptions import trace_of

# What every record has; all else was given by `extra`.
GIVEN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z WARNING  sentence`; lines of a traceback follow."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback if there is an exception."""
        line = f"{moment(record)} {record.levelname:<8} {message(record)}"
        return f"{line}\n{trace}" if (trace := trace_in(record)) else line


class JsonFormatter(logging.Formatter):
    """One object a line: ts, level, logger, message, fields by name, and exception if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The object. A field that JSON does not know becomes text."""
        fields: dict[str, Any] = {
            "ts": moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": message(record),
        }
        fields |= {name: value for name, value in record.__dict__.items() if name not in GIVEN | fields.keys()}
        if trace := trace_in(record):
            fields["exception"] = trace
        return json.dumps(fields, default=str, ensure_ascii=False)


def moment(record: logging.LogRecord) -> str:
    """When it was said, in UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def message(record: logging.LogRecord) -> str:
    """The sentence, on one line whatever it holds."""
    return " ".join(record.getMessage().split("\n")).rstrip()


def trace_in(record: logging.LogRecord) -> str:
    """The traceback of the record's exception; empty without one."""
    error = record.exc_info[1] if record.exc_info else None
    return trace_of(error) if error else ""
