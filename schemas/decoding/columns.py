"""Tests and conversions over a whole chunk at once. Each test is the conjunction of one test per value, so a chunk
passes exactly if each of its values would pass alone."""

from binascii import unhexlify
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.events import MAX_ID
from pintally.schemas.json_text import MAX_BYTES, MAX_DEPTH

Text = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]

_LARGEST: Final = str(MAX_ID).encode()
LONGEST_ID: Final = len(_LARGEST)  # digits
_ZERO, _HYPHEN = ord("0"), ord("-")
_HEXADECIMAL: Final = [*range(8), *range(9, 13), *range(14, 18), *range(19, 23), *range(24, 36)]


def sound(values: Sequence[bytes]) -> bool:
    """True if all sizes are in bounds, all is UTF-8, and no value holds more brackets than it may nest."""
    joined = b"\n".join(values)
    if (len(joined) > MAX_BYTES and max(map(len, values)) > MAX_BYTES) or not is_utf8(joined):
        return False
    # { and [ differ in one bit only. MAX_DEPTH + 1 of them further apart than any value is long lie in two values.
    opened = np.flatnonzero((np.frombuffer(joined, np.uint8) & 0xDF) == 0x5B)
    if len(opened) <= MAX_DEPTH:
        return True
    return int((opened[MAX_DEPTH:] - opened[:-MAX_DEPTH]).min()) >= max(map(len, values))


def is_utf8(text: bytes) -> bool:
    """True if `text` is UTF-8 throughout."""
    if text.isascii():  # 0.02 us an event with the join; to decode costs 0.1
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def uuid_halves(text: Text) -> NDArray[np.uint64] | None:
    """Upper and lower half of each, shape (n, 2); None if one is not written as the contract says.

    `text` holds 36 ASCII characters a row.
    """
    if not (text[:, 8:24:5] == _HYPHEN).all():
        return None
    try:
        # All at once: 0.05 us an id with the tests, UUID(...) costs 1.
        digits = unhexlify(text[:, _HEXADECIMAL].tobytes())
    except ValueError:
        return None
    return np.frombuffer(digits, ">u8").astype(np.uint64).reshape(-1, 2)


def decimals(ids: Sequence[str]) -> str | None:
    """The ids joined by commas; None if one is not a decimal as the contract says."""
    joined = ",".join(ids)
    text = np.frombuffer(f",{joined},".encode() if ids else b",", np.uint8)
    commas = np.flatnonzero(text - _ZERO > 9)  # all that is no digit: below "0" uint8 wraps round
    if len(commas) != len(ids) + 1:  # one more: a comma, sign, space or letter inside a decimal
        return None
    first, length = commas[:-1] + 1, np.diff(commas) - 1
    if ((length == 0) | (length > LONGEST_ID) | (text[first] == _ZERO) & (length > 1)).any():
        return None
    return joined if are_ids(text, first[length == LONGEST_ID]).all() else None


def are_ids(text: Text, places: Places) -> Mask:
    """Of 20 digits from there, first one not 0: which are in bounds."""
    return np.asarray(windows(text, places, LONGEST_ID).view(f"S{LONGEST_ID}")[:, 0] <= _LARGEST, np.bool_)


def numbers(joined: str, count: int) -> NDArray[np.uint64]:
    """The first `count` of what `decimals` returned, as numbers."""
    return np.fromstring(joined, np.uint64, count, sep=",")  # 0.02 us each; int one by one 0.1, astype 0.4


def windows(text: Text, places: Places, width: int) -> Text:
    """The bytes from each place on, shape (n, width); all must lie inside of the text."""
    # As many items as places where one could begin, each a byte behind the last: 0.02 us less than by indices.
    every = np.ndarray((max(0, len(text) - width + 1),), f"V{width}", text, strides=(1,))
    return every[places].view(np.uint8).reshape(-1, width)
