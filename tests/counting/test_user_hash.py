"""The keyed hash of users is SipHash-2-4, and no key shows anywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pintally.schemas.errors import PintallyError
from pintally.schemas.rules import Rules
from pintally.schemas.user_keys import NO_KEY, NO_KEYS, UserKey, UserKeyMissing, UserKeys
from pintally.streams.counting.user_hash import hash_users
from pintally.streams.settings import Settings, load_settings

PUBLISHED = "000102030405060708090a0b0c0d0e0f"  # the key of the published test vectors
OTHER = "ffeeddccbbaa99887766554433221100"
WORD = (1 << 64) - 1


def sip_hash(text: str, message: bytes) -> int:
    """SipHash-2-4 in Python's own numbers, written from the paper."""
    key = bytes.fromhex(text)
    k = [int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")]
    v = [int.from_bytes(b"somepseudorandomlygeneratedbytes"[i : i + 8], "big") ^ k[i // 8 % 2] for i in range(0, 32, 8)]

    def rotate(x: int, bits: int) -> int:
        return (x << bits | x >> 64 - bits) & WORD

    def rounds(n: int) -> None:
        for _ in range(n):
            for (a, b, c, d), (s, t) in zip([(0, 1, 2, 3), (2, 1, 0, 3)], [(13, 16), (17, 21)], strict=True):
                v[a], v[c] = v[a] + v[b] & WORD, v[c] + v[d] & WORD
                v[b], v[d] = rotate(v[b], s) ^ v[a], rotate(v[d], t) ^ v[c]
                v[a] = rotate(v[a], 32)

    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) % 256])
    for at in range(0, len(padded), 8):
        block = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= block
        rounds(2)
        v[0] ^= block
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def hashed(text: str, users: list[int]) -> list[int]:
    found: list[int] = hash_users(UserKey.of(text), np.array(users, np.uint64), np.arange(len(users))).tolist()
    return found


def test_it_is_the_published_function() -> None:
    """The vectors of the paper's appendix and of its reference implementation: bytes 0 to 7, and 0 to 14."""
    assert hashed(PUBLISHED, [int.from_bytes(bytes(range(8)), "little")]) == [
        int.from_bytes(bytes.fromhex("6224939a79f5f593"), "little")
    ]
    assert sip_hash(PUBLISHED, bytes(range(15))) == 0xA129CA6149BE45E5


@given(st.binary(min_size=16, max_size=16), st.lists(st.integers(0, WORD), max_size=20))
def test_it_is_the_function_whatever_the_key_and_the_users(key: bytes, users: list[int]) -> None:
    assert hashed(key.hex(), users) == [sip_hash(key.hex(), user.to_bytes(8, "little")) for user in users]


def test_only_the_users_at_the_indexes_are_hashed() -> None:
    users = np.array([7, 8, 9], np.uint64)
    assert hash_users(UserKey.of(OTHER), users, np.array([2, 0])).tolist() == hashed(OTHER, [9, 7])


def test_rules_name_a_key_and_do_not_give_it_away() -> None:
    keys = UserKeys.of(f"{PUBLISHED} , {OTHER}")
    assert keys.current == UserKey.of(PUBLISHED).id != UserKey.of(OTHER).id
    assert keys[UserKey.of(OTHER).id] == UserKey.of(OTHER)
    assert PUBLISHED not in f"{keys!r} {UserKey.of(PUBLISHED)!r} {keys.current}"
    assert str(UserKey.of(PUBLISHED).first) not in repr(UserKey.of(PUBLISHED))
    assert UserKey.of(PUBLISHED.upper()).id == keys.current, "a key is its bytes, not how they are written"


def test_a_key_that_is_missing_is_named_by_its_id() -> None:
    assert NO_KEYS.current == NO_KEY
    with pytest.raises(UserKeyMissing, match=UserKey.of(OTHER).id) as missing:
        UserKeys.of(PUBLISHED)[UserKey.of(OTHER).id]
    assert "PINTALLY_USER_KEY" in str(missing.value)
    assert PUBLISHED not in str(missing.value)


@pytest.mark.parametrize("wrong", ["hunter2-not-a-key", PUBLISHED[:-1], f"{PUBLISHED},{OTHER}0", f"'{PUBLISHED}'"])
def test_a_key_that_is_none_is_refused_and_not_shown(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINTALLY_USER_KEY", wrong)
    with pytest.raises(PintallyError) as refused:
        load_settings()
    assert refused.value.what.startswith("setting PINTALLY_USER_KEY: ")
    assert "openssl rand -hex 16" in refused.value.remedy
    assert wrong not in str(refused.value)


def test_settings_have_the_keys_and_do_not_show_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINTALLY_USER_KEY", f"{PUBLISHED},{OTHER}")
    settings = Settings.of(None)
    assert settings.rules.keys.current == UserKey.of(PUBLISHED).id
    assert settings.rules.keys[UserKey.of(OTHER).id] == UserKey.of(OTHER)
    assert PUBLISHED not in f"{settings!r} {settings.rules!r} {settings.values()!r}"
    assert settings.rules.to_rules() == Rules(), "a key alone changes no rule"


def test_rules_with_another_key_are_other_rules() -> None:
    rules = Rules(user_key=UserKey.of(PUBLISHED).id)
    assert Rules.from_json(rules.to_json()) == rules
    assert len({each.fingerprint for each in (rules, Rules(), Rules(user_key=UserKey.of(OTHER).id))}) == 3
