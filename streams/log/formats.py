"""How a line of the log looks: text for people, JSON for machines.

Not by python-json-logger: it writes every attribute of a record and the texts of exceptions as they are. Both must be
ours to decide, and what then remains of it is a call of `json.dumps`.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from pintally.streams.log.exceptions import one_line, trace_of
from pintally.streams.log.fields import FIELDS


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z WARNING  sentence`; the lines of a traceback follow, indented."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback if there is an exception."""
        line = f"{moment(record)} {record.levelname:<8} {message(record)}"
        return f"{line}\n{indented(trace)}" if (trace := trace_in(record)) else line


class JsonFormatter(logging.Formatter):
    """One object a line: ts, level, logger, message, then the fields of `FIELDS` that the line has."""

    def __init__(self, instance: str | None = None) -> None:
        super().__init__()
        self._always = {"instance": instance} if instance else {}

    def format(self, record: logging.LogRecord) -> str:
        """The object. A field that JSON does not know becomes text."""
        fields: dict[str, Any] = {
            "ts": moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": message(record),
        }
        fields |= self._always
        fields |= {name: value for name, value in record.__dict__.items() if name in FIELDS and value is not None}
        if trace := trace_in(record):
            fields["exception"] = trace
        return json.dumps(fields, default=str)


def moment(record: logging.LogRecord) -> str:
    """When it was said, in UTC, to the millisecond."""
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def message(record: logging.LogRecord) -> str:
    """The sentence, on one line whatever it holds."""
    return one_line(record.getMessage())


def trace_in(record: logging.LogRecord) -> str:
    """The traceback of the record's exception; empty without one."""
    error = record.exc_info[1] if record.exc_info else None
    return trace_of(error) if error else ""


def indented(text: str) -> str:
    """Each line four spaces further: what begins without a space is a line of its own."""
    return "\n".join(f"    {line}" for line in text.splitlines())
