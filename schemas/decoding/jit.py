"""Loops over columns as machine code: numba compiles these functions, which stay plain Python.

A loop that a chunk needs, and that numpy could only express in many passes, costs a record nanoseconds this way. Whole
functions say which types they take, and are compiled as their module is imported: some seconds once, then numba's cache
has them (beside the source, or in the user's cache folder; `NUMBA_CACHE_DIR` names another one). Nothing is compiled
while records wait.

Every index is checked: one outside of its array raises IndexError, as in Python. That cost nothing that could be seen.
`NUMBA_DISABLE_JIT=1` runs the same functions as Python, for a debugger.
"""

import logging
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numba import types
from numba.core import event
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
log = logging.getLogger(__name__)

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "boundscheck": True, "error_model": "numpy"}
# numba counts references to each array that a function is given, by atomic operations. Without them a loop of many
# parts takes a quarter of the time. What allocates does not compile without them.
_UNCOUNTED: Final[dict[str, Any]] = _OPTIONS | {"_nrt": False}

# numba notices a change of the file that a compiled function is in, and not of the files that its parts and constants
# come from. So the name of its cache file says which sources it was made of.
_HERE: Final = Path(__file__).parent
SOURCES: Final = (*sorted(_HERE.glob("*.py")), _HERE.parent / "events.py", _HERE.parent / "json_text.py")
_DIGEST: Final = blake2b(b"".join(path.read_bytes() for path in SOURCES), digest_size=8).hexdigest()

NOTHING: Final = types.void
NUMBER: Final = types.int64
UNSIGNED: Final = types.uint64
FLAGS: Final = types.Array(types.bool_, 1, "C")
PLACES: Final = types.Array(types.int64, 1, "C")
UNSIGNEDS: Final = types.Array(types.uint64, 1, "C")
PAIRS: Final = types.Array(types.uint64, 2, "C")  # shape (n, 2)
PAIRS_READ: Final = types.Array(types.uint64, 2, "C", readonly=True)
SLOTS: Final = types.Array(types.uint32, 1, "C")
MARKS: Final = types.Array(types.uint8, 1, "C")
TABLE: Final = types.Array(types.int64, 2, "C")
NUMBERS: Final = types.Array(types.uint32, 2, "C")
ROWS: Final = types.Array(types.uint64, 2, "C")
BYTES: Final = types.Array(types.uint8, 1, "C", readonly=True)
WORDS: Final = types.Array(types.uint64, 1, "A", readonly=True, aligned=False)  # what `words_of` returns


class _Compiling(event.Listener):
    """Says once that something is compiled, and not only loaded: nothing else explains these seconds."""

    def __init__(self) -> None:
        self.was_said = False

    def on_start(self, _event: event.Event) -> None:
        if not self.was_said:
            self.was_said = True
            log.info("compiling the loops that read and count; where they can be kept, the next start loads them")

    def on_end(self, _event: event.Event) -> None: ...


event.register("numba:compile", _Compiling())  # type: ignore[no-untyped-call]


def named(row: type[tuple[Any, ...]], *fields: types.Type) -> types.Type:
    """A NamedTuple whose fields have these types."""
    return types.NamedTuple(fields, row)  # type: ignore[no-untyped-call]


def compiled(
    returns: types.Type, *takes: types.Type, allocates: bool = True, sources: Sequence[str] = ()
) -> Callable[[F], F]:
    """Compile a function of these types. An array that is only read may be declared read-only: it takes both kinds.

    Results in columns go into arrays that are passed in: to return an array costs a call 15 us. A function that makes
    no array, nor any of its parts, says so: it is faster. `sources` are the files of its parts, where they are neither
    here nor in its own file.
    """
    options = _OPTIONS if allocates else _UNCOUNTED
    digest = "".join((_DIGEST, *(blake2b(Path(file).read_bytes(), digest_size=4).hexdigest() for file in sources)))

    def compile(function: F) -> F:
        signature = returns(*takes)
        function.__qualname__ += f"-{digest}"
        try:
            return cast(F, numba.njit(signature, cache=True, **options)(function))
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            return cast(F, numba.njit(signature, **options)(function))  # nowhere to write: compiled at each start

    return compile


def part(function: F) -> F:
    """A function that only compiled ones call; it becomes a part of each."""
    return cast(F, numba.njit(**_OPTIONS)(function))


def inlined(function: F) -> F:
    """A part that stands wherever it is called. It makes no array."""
    return cast(F, numba.njit(forceinline=True, **_UNCOUNTED)(function))


def called(function: F) -> F:
    """A part that is called: of what is rare, so that it stands once only. It makes no array."""
    return cast(F, numba.njit(**_UNCOUNTED)(function))


def words_of(text: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The eight bytes from each place of a text on, as one little-endian number; no bytes are copied."""
    return np.ndarray((max(0, len(text) - 7),), "<u8", text, strides=(1,))


Word = np.uint64  # eight bytes, the first one lowest
