"""Secret keys of the hash of users: whoever has the hash of a user and not the key cannot tell the user.

A key is used by workers, by `repair` and by `verify`, and reaches no table, topic, log or metric. Rules name it by its
id, which is made of it and does not give it away: other keys give other hashes, so they are other rules.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from pintally.schemas.errors import PintallyError

HEX_DIGITS = re.compile("[0-9a-fA-F]{32}")  # of a key, 128 bits
NO_KEY = ""  # instead of an id: the rules count nothing by users


class UserKeyMissing(PintallyError):
    """Rules name a key that this process does not have."""


@dataclass(frozen=True, slots=True)
class UserKey:
    """A key of 128 bits, as two numbers: its first and its last eight bytes, little-endian."""

    first: int = field(repr=False)
    last: int = field(repr=False)

    @classmethod
    def of(cls, text: str) -> "UserKey":
        """The key that 32 hexadecimal digits write. Raises ValueError, without the text."""
        if not HEX_DIGITS.fullmatch(text):
            raise ValueError("a key is 32 hexadecimal digits")
        octets = bytes.fromhex(text)
        return cls(int.from_bytes(octets[:8], "little"), int.from_bytes(octets[8:], "little"))

    @property
    def octets(self) -> bytes:
        """Its 16 bytes."""
        return self.first.to_bytes(8, "little") + self.last.to_bytes(8, "little")

    @property
    def id(self) -> str:
        """Eight hexadecimal digits: of blake2b-32 over the 16 bytes, personalised."""
        return blake2b(self.octets, digest_size=4, person=b"pintally user id").hexdigest()


class UserKeys:
    """The keys that a process has: the one that it counts by, and those of earlier rules."""

    def __init__(self, keys: Iterable[UserKey] = ()) -> None:
        self._keys = {key.id: key for key in keys}

    @classmethod
    def of(cls, text: str) -> "UserKeys":
        """The keys in a text with commas between them. Raises ValueError, without the text."""
        return cls(UserKey.of(part) for each in text.split(",") if (part := each.strip()))

    @property
    def current(self) -> str:
        """The id of the first key; NO_KEY if there is none."""
        return next(iter(self._keys), NO_KEY)

    def __iter__(self) -> Iterator[UserKey]:
        """The current key first."""
        return iter(self._keys.values())

    def __getitem__(self, key_id: str) -> UserKey:
        """The key of this id. Raises UserKeyMissing."""
        if key_id not in self._keys:
            raise UserKeyMissing(
                f"users were hashed with the key {key_id}, which PINTALLY_USER_KEY does not hold",
                "Add the key to PINTALLY_USER_KEY, after a comma if it is not the current one.",
            )
        return self._keys[key_id]


NO_KEYS = UserKeys()
