"""What the log says of an exception: where it was raised, and its text only if no value of a record can be in it.

Errors of a conversion quote what they could not convert: `int()`, a look-up in a dict, a model. It may be of a person.
"""

import traceback
from collections.abc import Iterator
from typing import Final

from pintally.schemas.errors import PintallyError

# Their text names files, addresses, attributes and sizes, but no values.
QUOTE_NOTHING: Final = (
    PintallyError, OSError, EOFError, MemoryError, ArithmeticError, AttributeError, ImportError, IndexError, NameError,
    RuntimeError, TypeError,
)  # fmt: skip
CLIENTS: Final = ("aiokafka", "kafka", "clickhouse_driver", "faust", "mode", "asyncio")
HIDDEN = "(its text is left out: it may quote a record)"


def named(error: BaseException) -> str:
    """The exception on one line, as the log may have it."""
    kind = type(error)
    if isinstance(error, QUOTE_NOTHING) or kind.__module__.startswith(CLIENTS):
        return " ".join(f"{kind.__name__}: {error}".split("\n"))
    return f"{kind.__name__} {HIDDEN}"


def trace_of(error: BaseException) -> str:
    """The traceback, with what the exception came from, as Python prints it but for texts that may quote a record."""
    return "\n".join(f"Traceback (most recent call last):\n{frames(each)}{named(each)}" for each in chain(error))


def frames(error: BaseException) -> str:
    """The lines where it passed."""
    return "".join(traceback.format_tb(error.__traceback__))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The exception after those that it came from."""
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    yield from reversed(seen)
