"""What a slice counts beside pin-minutes, once more in plain Python: members (C31), arms (C32) and both (C36)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from pintally.schemas.events import Event
from pintally.schemas.experiments import EVERY, bucket_of
from pintally.schemas.rules import HOUR_MS, Rules
from pintally.schemas.user_keys import UserKeys
from tests.counting.test_user_hash import sip_hash

NAMED_ARMS = 256  # C32: pairs of experiment and arm that count under their own names
OTHER = ("other", "other")


class Member(NamedTuple):
    """What names a member within a slice, but for the action."""

    hour: int  # seconds since 1970
    pin: int
    surface: str
    user_key: int
    user_hash: int


class Arm(NamedTuple):
    """What names a cell of an arm within a slice, but for the action."""

    hour: int  # seconds since 1970
    experiment: str
    arm: str
    bucket: int


class ArmMember(NamedTuple):
    """What names a member of an arm within a slice, but for the action."""

    hour: int  # seconds since 1970
    experiment: str
    arm: str
    user_key: int
    user_hash: int


@lru_cache(maxsize=10_000)
def hashed(key: bytes, user: int) -> int:
    """The hash of a user."""
    return sip_hash(key.hex(), user.to_bytes(8, "little"))


@dataclass
class Beside:
    """Of one slice."""

    rules: Rules
    keys: UserKeys
    named: int = NAMED_ARMS
    _pairs: list[tuple[str, str]] = field(default_factory=list)

    def member(self, event: Event, surface: str) -> Member | None:
        """The member that a counted event makes; None if the rules name no key."""
        user = self._user(event)
        return Member(_hour(event), event.pin_id, surface, *user) if user else None

    def arms(self, event: Event) -> list[Arm]:
        """The cells of the arms that a counted event counts in."""
        asked = self.rules.experiments
        pairs = [pair for pair in sorted((event.experiments or {}).items()) if asked == (EVERY,) or pair[0] in asked]
        return [Arm(_hour(event), *self._name(pair), bucket_of(event.user_id)) for pair in pairs]

    def arm_members(self, event: Event, arms: Iterable[Arm]) -> list[ArmMember]:
        """The members that a counted event of these arms makes."""
        user = self._user(event)
        return [ArmMember(arm.hour, arm.experiment, arm.arm, *user) for arm in arms] if user else []

    def _user(self, event: Event) -> tuple[int, int] | None:
        """The key and the hash of the user; None if the rules name no key."""
        key_id = self.rules.user_key
        return (int(key_id, 16), hashed(self.keys[key_id].octets, event.user_id)) if key_id else None

    def _name(self, pair: tuple[str, str]) -> tuple[str, str]:
        if pair != OTHER and pair not in self._pairs:
            if len(self._pairs) == self.named:
                return OTHER
            self._pairs.append(pair)
        return pair


def _hour(event: Event) -> int:
    return event.occurred_at // HOUR_MS * (HOUR_MS // 1000)
