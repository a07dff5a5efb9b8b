"""The keyed hash of a user: SipHash-2-4 of the eight bytes of `user_id`, little-endian.

SipHash is a pseudo-random function: without the key, hashes say nothing of users, also not about which users are next
to each other (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; https://www.aumasson.jp/siphash/).
`sipHash64Keyed` of ClickHouse is the same function.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.decoding.jit import NOTHING, PLACES, UNSIGNEDS, compiled, part
from pintally.schemas.user_keys import UserKey

Numbers = NDArray[np.uint64]
Word = np.uint64

_LENGTH: Final = Word(8 << 56)  # the last block of a message of eight bytes
_V0, _V1, _V2, _V3 = (  # "somepseudorandomlygeneratedbytes"
    Word(0x736F6D6570736575),
    Word(0x646F72616E646F6D),
    Word(0x6C7967656E657261),
    Word(0x7465646279746573),
)


def words_of_key(key: UserKey) -> Numbers:
    """A key as `hash_user` takes it."""
    return np.array([key.first, key.last], np.uint64)


def hash_users(key: UserKey, users: Numbers, at: NDArray[np.intp]) -> Numbers:
    """The hashes of the users at these indexes."""
    hashes = np.empty(len(at), np.uint64)
    _hash_users(words_of_key(key), users, at, hashes)
    return hashes


@part
def _rotated(word: Word, bits: int) -> Word:
    return (word << Word(bits)) | (word >> Word(64 - bits))


@part
def _round(v0: Word, v1: Word, v2: Word, v3: Word) -> tuple[Word, Word, Word, Word]:
    v0 += v1
    v1 = _rotated(v1, 13) ^ v0
    v0 = _rotated(v0, 32)
    v2 += v3
    v3 = _rotated(v3, 16) ^ v2
    v0 += v3
    v3 = _rotated(v3, 21) ^ v0
    v2 += v1
    v1 = _rotated(v1, 17) ^ v2
    v2 = _rotated(v2, 32)
    return v0, v1, v2, v3


@part
def hash_user(key: Numbers, user: Word) -> Word:
    """64 bits of a user, by the two words of a key."""
    v0, v1, v2, v3 = key[0] ^ _V0, key[1] ^ _V1, key[0] ^ _V2, key[1] ^ _V3
    for block in (user, _LENGTH):
        v3 ^= block
        for _ in range(2):
            v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= block
    v2 ^= Word(0xFF)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return Word(v0 ^ v1 ^ v2 ^ v3)


@compiled(NOTHING, UNSIGNEDS, UNSIGNEDS, PLACES, UNSIGNEDS)
def _hash_users(key: Numbers, users: Numbers, at: NDArray[np.intp], hashes: Numbers) -> None:
    for i in range(len(at)):
        hashes[i] = hash_user(key, users[at[i]])
