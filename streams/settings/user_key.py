"""The secret keys of the hash of users, as a setting. Pure; shows no key."""

from typing import Final

from pydantic import SecretStr

from pintally.schemas.user_keys import UserKeys
from pintally.streams.settings.addresses import Unusable

MADE: Final = "Set PINTALLY_USER_KEY to a key that `openssl rand -hex 16` makes"


def checked_user_key(value: SecretStr, *, needed: bool = False) -> SecretStr:
    """The keys, as they are, if they are keys, and there is one if it is needed. Raises Unusable."""
    try:
        keys = UserKeys.of(value.get_secret_value())
    except ValueError:
        raise Unusable(None, "it is not 32 hexadecimal digits, or several such keys with commas", f"{MADE}.") from None
    if needed and not keys.current:
        raise Unusable(
            None,
            "it is not set, and PINTALLY_COUNT_USERS asks to count users, by a hash with this key",
            f"{MADE}, or unset PINTALLY_COUNT_USERS.",
        )
    return value
