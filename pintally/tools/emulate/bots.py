"""Bots: one user and one action, HAMMERS times in a row among what people do. Every other one hammers one pin, the
others roam over many: the first ones are seen by the cap of trusted events (C30), both by how much they do (C37).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from pintally.schemas.actions import Action
from pintally.tools.emulate.pins import SHARD_SHIFT, TYPE_SHIFT, USER_TYPE, Pins
from pintally.tools.emulate.sessions import Steps

HAMMERS = 60  # events of a bot, after which the next one begins
ACTIONS = np.array([Action.SAVE, Action.CLICK, Action.CLOSEUP], np.uint8)
_LAST = (1 << TYPE_SHIFT) - 1  # users that are people have lower numbers


@dataclass(slots=True)
class Bots:
    """Turns some of people's steps into those of bots."""

    rng: Generator
    pins: Pins
    steps: int = 0  # taken over so far
    pin: int = 0  # of the bot that is at it, if it hammers
    action: int = 0

    def take_over(self, steps: Steps, count: int) -> Steps:
        """The steps, of which `count` at random are now those of bots; their labels and times stay."""
        if count == 0:
            return steps
        places = np.sort(self.rng.choice(len(steps.pin), count, replace=False))
        numbers = self.steps + np.arange(count)
        self.steps += count
        pin, action, user = steps.pin.copy(), steps.action.copy(), steps.user.copy()
        for bot in range(int(numbers[0]) // HAMMERS, int(numbers[-1]) // HAMMERS + 1):
            own = places[numbers // HAMMERS == bot]
            if bot * HAMMERS in numbers:
                self.pin, self.action = int(self.pins.draw(self.rng, 1)[0]), int(self.rng.choice(ACTIONS))
            pin[own] = self.pins.draw(self.rng, len(own)) if roams(bot) else self.pin
            action[own], user[own] = self.action, bot_user(bot)
        return replace(steps, pin=pin, action=action, user=user)


def roams(bot: int) -> bool:
    """Whether a bot acts on a pin of its own each time."""
    return bot % 2 == 1


def is_bot(user: int) -> bool:
    """Whether a user is a bot, of which there are fewer than 2^16."""
    return user & _LAST > _LAST - (1 << 16)


def bot_user(bot: int) -> int:
    """The user id of a bot. No person has it."""
    return (bot % (1 << 16)) << SHARD_SHIFT | USER_TYPE << TYPE_SHIFT | (_LAST - bot)


def owed(share: float, start: int, count: int) -> int:
    """How many of `count` records, after `start` of them, so that a share of all comes out."""
    return int(share * (start + count) + 1e-9) - int(share * start + 1e-9)
