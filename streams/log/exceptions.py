"""What the log says of an exception: its type and where it was raised, and its text only if that quotes no record.

Errors of a conversion quote what they could not convert: `int()`, a look-up in a dict, a model, a column of
ClickHouse's driver. That may be of a person, so their text is left out; the traceback says which line it was. Texts of
Kafka's clients and ours name topics, offsets, addresses and settings. Texts of Python itself name types and attributes;
whatever else they quote is left out.
"""

import re
import traceback
from collections.abc import Iterator
from typing import Final

from pintally.schemas.errors import PintallyError

KAFKA: Final = ("aiokafka.errors", "kafka.errors")
# Raised by Python and by libraries that say what they cannot do, not with which value. No subclasses but of OSError.
PYTHON: Final = (
    AttributeError, EOFError, ImportError, IndexError, MemoryError, ModuleNotFoundError, NameError, OverflowError,
    RecursionError, RuntimeError, TypeError, UnboundLocalError, ZeroDivisionError,
)  # fmt: skip
HIDDEN: Final = "(its text is left out: it may quote a record)"
LONGEST = 400
_QUOTED = re.compile(r"""b?(['"`])((?:(?!\1).)*)\1""", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9.]{0,39}")
_NUMBER = re.compile(r"\d{5,}")


def named(error: BaseException) -> str:
    """The exception on one line, as the log may have it."""
    kind, text = type(error).__name__, text_of(error)
    if text is None:
        return f"{kind} {HIDDEN}"
    line = one_line(text)[:LONGEST]
    return line if line.startswith(kind) else f"{kind}: {line}" if line else kind


def text_of(error: BaseException) -> str | None:
    """What it says; None if that may quote a record."""
    if isinstance(error, PintallyError) or type(error).__module__.startswith(KAFKA):
        return str(error)
    if isinstance(error, OSError):
        return str(error) if error.errno is not None else unquoted(str(error))
    return unquoted(str(error)) if type(error) in PYTHON else None


def unquoted(text: str) -> str:
    """The text without what stands in quotes, unless that is a name of code, and without long numbers."""

    def kept(found: re.Match[str]) -> str:
        return found[0] if _NAME.fullmatch(found[2]) and not found[0].startswith("b") else "'...'"

    return _NUMBER.sub("...", _QUOTED.sub(kept, text))


def one_line(text: str) -> str:
    """The text without line breaks and other control characters, and such that it can be written as UTF-8."""
    plain = re.sub(r"\s*[\x00-\x1f\x7f-\x9f\u2028\u2029]+\s*", " ", text).strip()
    return plain.encode("utf-8", "backslashreplace").decode()


def trace_of(error: BaseException) -> str:
    """The traceback, with what the exception came from, as Python prints it but for texts that may quote a record."""
    return "\n".join(f"Traceback (most recent call last):\n{frames(each)}{named(each)}" for each in chain(error))


def frames(error: BaseException) -> str:
    """The lines where it passed. Source, never what variables hold."""
    return "".join(traceback.format_tb(error.__traceback__))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The exception after those that it came from."""
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    yield from reversed(seen)
