"""How many users acted on a pin in an hour, on each surface and on all of them (C31), and in an arm (C36)."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.rules import HOUR_MS
from pintally.tools.emulate.arms import ARMS, arms_of
from pintally.tools.emulate.sums import MOST_PARTS
from pintally.tools.emulate.traffic import Slab

MEMBER = np.dtype([("hour", "<u4"), ("pin", "<i8"), ("surface", "u1"), ("user", "<u8"), ("action", "u1")])
EVERY: None = None  # instead of a surface: all of them


class Group(NamedTuple):
    """The users of a pin in an hour."""

    hour: int  # its start in seconds since 1970
    pin: int  # index into Pins
    surface: int | None  # as in Slab, or EVERY


class Numbers(NamedTuple):
    """How many distinct users a group has."""

    users: int
    by_action: dict[Action, int]


class Users:
    """Grows with every slab: 22 bytes for each different user, pin, hour, action and surface."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.void]] = []

    def add(self, slab: Slab, counted: NDArray[np.bool_], *, breakdown: bool) -> None:
        """Take in the counted records of a slab."""
        members = np.empty(int(counted.sum()), MEMBER)
        members["hour"] = slab.occurred[counted] // HOUR_MS * (HOUR_MS // 1000)
        for name in ("pin", "user", "action"):
            members[name] = getattr(slab, name)[counted]
        members["surface"] = slab.surface[counted] * breakdown
        self._parts.append(np.unique(members))
        if len(self._parts) > MOST_PARTS:
            self._merge()

    def numbers(self) -> dict[Group, Numbers]:
        """Of each group with a user, in order; of each surface, and of all."""
        self._merge()
        users: Counter[Group] = Counter()
        by_action: Counter[tuple[Group, int]] = Counter()
        for hour, pin, surface, _, action in self._distinct():
            group = Group(hour, pin, surface)
            if action:
                by_action[group, action] += 1
            else:
                users[group] += 1
        return {
            group: Numbers(count, {action: by_action[group, int(action)] for action in Action})
            for group, count in users.items()
        }

    def of_arms(self) -> dict[str, int]:
        """How many users each arm has, over all hours; those that have any. Nobody is in two arms."""
        self._merge()
        counts = np.bincount(arms_of(np.unique(self._members["user"])), minlength=len(ARMS)).tolist()
        return {arm: n for arm, n in zip(ARMS, counts, strict=True) if arm and n}

    @property
    def _members(self) -> NDArray[np.void]:
        return self._parts[0] if self._parts else np.empty(0, MEMBER)

    def _distinct(self) -> Iterator[tuple[int, int, int | None, int, int]]:
        """Each user of a group once for each action, and once with action 0 for any."""
        members = self._members
        for is_any in (False, True):
            for is_every in (False, True):
                found = members.copy()
                if is_any:
                    found["action"] = 0
                if is_every:
                    found["surface"] = 0
                for hour, pin, surface, user, action in np.unique(found).tolist():
                    yield hour, pin, EVERY if is_every else surface, user, action

    def _merge(self) -> None:
        if len(self._parts) > 1:
            self._parts = [np.unique(np.concatenate(self._parts))]
