"""The secret keys of the hash of users, as a setting. Pure; shows no key."""

from pydantic import SecretStr

from pintally.schemas.user_keys import UserKeys
from pintally.streams.settings.addresses import Unusable


def checked_user_key(value: SecretStr) -> SecretStr:
    """The keys, as they are, if they are keys. Raises Unusable."""
    try:
        UserKeys.of(value.get_secret_value())
    except ValueError:
        raise Unusable(
            None,
            "it is not 32 hexadecimal digits, or several such keys with commas",
            "Set PINTALLY_USER_KEY to a key that `openssl rand -hex 16` makes.",
        ) from None
    return value
