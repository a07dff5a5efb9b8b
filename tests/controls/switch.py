"""What a control is: a context in which one protection is off."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

Control = Callable[[], AbstractContextManager[None]]
CONTROLS: dict[str, Control] = {}  # by name; the first line of each docstring says what is off, and by which rule


def control(function: Callable[[], Iterator[None]]) -> Control:
    """Register a control under its function's name."""
    CONTROLS[function.__name__.replace("_", "-")] = made = contextmanager(function)
    return made


@contextmanager
def replaced(*replacements: tuple[Any, str, Any]) -> Iterator[None]:
    """Put each third in the place of the attribute that the first two name, and back again at the end."""
    with ExitStack() as stack:
        for where, name, what in replacements:
            stack.callback(setattr, where, name, getattr(where, name))
            setattr(where, name, what)
        yield
