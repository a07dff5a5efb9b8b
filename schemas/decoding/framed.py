"""Decodes values that a schema registry framed (E12): the decoder reads what follows their five bytes, in place."""

from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.decoding.decoded import Decoded
from pintally.schemas.decoding.decoder import decode
from pintally.schemas.decoding.values import TOMBSTONE, Values
from pintally.schemas.framing import MAGIC, PREFIX_BYTES, not_framed


def decode_by_rule(values: Values, action: Action, prefix_bytes: int) -> Decoded:
    """The columns of a chunk from the topic of `action`, whose rules say how many bytes stand before the JSON."""
    return decode_framed(values, action) if prefix_bytes else decode(values, action)


def decode_framed(values: Values, action: Action) -> Decoded:
    """As `decode`, of a topic whose rules say that values are framed. A value that is not is invalid."""
    framed = values.lengths >= PREFIX_BYTES
    framed[framed] = values.text[values.starts[framed]] == MAGIC
    lengths = np.where(framed, values.lengths - PREFIX_BYTES, TOMBSTONE)
    decoded = decode(Values(values.text, values.starts + PREFIX_BYTES * framed, lengths), action)
    if not decoded.reasons:
        return decoded
    wrong = not_framed(action.label)
    reasons = {i: _reason(i, why, framed, values, wrong) for i, why in decoded.reasons.items()}
    return replace(decoded, reasons=MappingProxyType(reasons))


def _reason(i: int, why: str, framed: NDArray[np.bool_], values: Values, wrong: str) -> str:
    if framed[i]:  # bytes and characters in a reason are counted behind the prefix
        return f"value behind its prefix:{why.removeprefix('value:')}" if why.startswith("value:") else why
    return why if values.lengths[i] == TOMBSTONE else wrong
