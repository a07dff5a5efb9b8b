"""The keyed hash of users, and the ids of its keys, by the audit's own code.

SipHash-2-4 (Aumasson and Bernstein, 2012) of the eight bytes of a user, little-endian; 64-bit numbers of numpy wrap.
The id of a key is blake2b of its 16 bytes with four bytes of output, personalised, as a number.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from pintally.audit.errors import CannotTell

Words = NDArray[np.uint64]
PERSON = b"pintally user id"


def id_of(key: bytes) -> str:
    """The id by which rules name a key of 16 bytes."""
    return blake2b(key, digest_size=4, person=PERSON).hexdigest()


def named(keys: tuple[bytes, ...], key_id: str) -> bytes:
    """The key of that id. Raises CannotTell."""
    for key in keys:
        if id_of(key) == key_id:
            return key
    raise CannotTell(
        f"users were hashed with the key {key_id}, which PINTALLY_USER_KEY does not hold",
        "Add the key to PINTALLY_USER_KEY, after a comma if it is not the current one.",
    )


def hashes(key: bytes, users: Words) -> Words:
    """The hash of each user."""
    low, high = np.frombuffer(key, "<u8")
    state = [
        np.full(len(users), np.frombuffer(part, ">u8")[0] ^ word, np.uint64)
        for part, word in zip((b"somepseu", b"dorandom", b"lygenera", b"tedbytes"), (low, high, low, high), strict=True)
    ]
    for block in (users, np.uint64(8 << 56)):  # the last block has the length
        state[3] ^= block
        _rounds(state, 2)
        state[0] ^= block
    state[2] ^= np.uint64(0xFF)
    _rounds(state, 4)
    return np.asarray(state[0] ^ state[1] ^ state[2] ^ state[3], np.uint64)


def _rounds(v: list[Words], number: int) -> None:
    for _ in range(number):
        _mix(v, 0, 1, 13, turn=True)
        _mix(v, 2, 3, 16, turn=False)
        _mix(v, 0, 3, 21, turn=False)
        _mix(v, 2, 1, 17, turn=True)


def _mix(v: list[Words], a: int, b: int, bits: int, *, turn: bool) -> None:
    v[a] = v[a] + v[b]
    v[b] = _left(v[b], bits) ^ v[a]
    if turn:
        v[a] = _left(v[a], 32)


def _left(words: Words, bits: int) -> Words:
    return words << np.uint64(bits) | words >> np.uint64(64 - bits)
