"""Experiments: which are counted, and the bucket of a user (C32).

A bucket stands for 1 in 256 of all users, so it names nobody and needs no key. It is a fixed function, so that
everybody finds the same one: `intHash64(user_id) % 256` in ClickHouse, which is the finalizer of MurmurHash3 (Appleby,
https://github.com/aappleby/smhasher) over the user XOR a constant. The constant also keeps buckets apart from the arms
of an app that draws them by the plain finalizer.
"""

from typing import Final

BUCKETS: Final = 256
EVERY: Final = "*"  # instead of names: all experiments are counted
MAX_SLICE_ARMS: Final = 256  # pairs of experiment and arm of one slice that count under their own names (C32)
SALT: Final = 0x4CF2D2BAAE6DA887  # of ClickHouse
FIRST_FACTOR: Final = 0xFF51AFD7ED558CCD
SECOND_FACTOR: Final = 0xC4CEB9FE1A85EC53


def bucket_of(user: int) -> int:
    """The bucket of a user, 0 to 255."""
    word = user ^ SALT
    for factor in (FIRST_FACTOR, SECOND_FACTOR):
        word = (word ^ word >> 33) * factor % 2**64
    return (word ^ word >> 33) % BUCKETS


def names_of(text: str) -> tuple[str, ...]:
    """The experiments in a text with commas between them, as rules hold them: ascending, each once."""
    names = {name for part in text.split(",") if (name := part.strip())}
    return (EVERY,) if EVERY in names else tuple(sorted(names))
