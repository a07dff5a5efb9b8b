"""The hashes of a user, one a line for each key in PINTALLY_USER_KEY: `python -m pintally.tools.user_hash 91847`.

With them an administrator finds and erases the rows of one person (docs/security.md). The key stays in this process.
"""

import sys

import numpy as np

from pintally.schemas.user_keys import UserKeys
from pintally.streams.counting.user_hash import hash_users
from pintally.streams.settings import load_settings


def hashes_of(user: int, keys: UserKeys) -> list[int]:
    """The hash of a user by each key, the current one first."""
    return [int(hash_users(key, np.array([user], np.uint64), np.arange(1))[0]) for key in keys]


def main(arguments: list[str]) -> None:
    """Print them."""
    if len(arguments) != 1 or not arguments[0].isdecimal() or int(arguments[0]) >= 2**64:
        sys.exit("usage: python -m pintally.tools.user_hash USER_ID")
    for hashed in hashes_of(int(arguments[0]), load_settings().rules.keys):
        print(hashed)


if __name__ == "__main__":
    main(sys.argv[1:])
