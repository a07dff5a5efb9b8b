"""From a record's value to the JSON it holds, by E1 to E4 of the contract (`schemas/events.py`)."""

import json
import re
from typing import Any, Final

import numpy as np

from pintally.schemas.encodings import no_json

MAX_BYTES: Final = 1_048_576
MAX_DEPTH: Final = 32
_LONGEST_INTEGER: Final = 20  # characters of 2^64 - 1; whatever is longer fits no field

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)  # the last one may lack its end: never look back for it
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1


def parse(value: bytes | None) -> Any:
    """The JSON content of `value`. Raises ValueError with a reason for producers if it breaks E1 to E4."""
    if value is None:
        raise ValueError("value: missing (a tombstone)")
    if len(value) > MAX_BYTES:
        raise ValueError(f"value: must be at most {MAX_BYTES} bytes")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        found = no_json(value)
        raise ValueError(
            f"value: must be JSON; {found}" if found else f"value: must be UTF-8; byte {error.start} is not"
        ) from None
    if _depth(value) > MAX_DEPTH:  # before parsing, so that the parser's recursion never depends on the caller's stack
        raise ValueError(f"value: must not nest deeper than {MAX_DEPTH} levels")
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as error:
        found = no_json(value) or f"{error.msg} (character {error.pos})"
        raise ValueError(f"value: must be JSON; {found}") from None


def _depth(value: bytes) -> int:
    """How many brackets are open at once (0 if few enough anyhow); exact as far as a parser gets before it gives up."""
    if value.count(b"{") + value.count(b"[") <= MAX_DEPTH:
        return 0
    steps = _STEP[np.frombuffer(_STRING.sub(b"", value), np.uint8)]
    return int(np.cumsum(steps, dtype=np.int64).max(initial=0))


def _integer(digits: str) -> int | float:
    """Integers too long for any field become floats, which every field refuses: `int` is slow on them, and limited."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _refuse(constant: str) -> None:
    raise ValueError(f"value: must be JSON; {constant} is no number")


_decoder = json.JSONDecoder(parse_int=_integer, parse_constant=_refuse)
