"""People looking at pins: sessions of close-ups, after each perhaps a click, a save, and each other action.

A session is on one platform; a close-up, and what follows it, is on one surface. People in the arm `treatment` of the
experiment save more often, by the effect that is asked for.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.tools.emulate.arms import TREATMENT, arms_of
from pintally.tools.emulate.pins import USER_TYPE, Pins, sharded_ids

CLOSEUPS_PER_SESSION = 5.0
CLICK_SHARE = 0.28  # of close-ups
SAVE_AFTER_CLICK, SAVE_WITHOUT_CLICK = 0.35, 0.06
DWELL_SECONDS, CLICK_SECONDS, SAVE_SECONDS = 12.0, 5.0, 6.0  # mean times until the next step
OTHERS = tuple(sorted(set(Action) - {Action.CLOSEUP, Action.CLICK, Action.SAVE}))
OTHER_SHARE, OTHER_SECONDS = 0.05, 8.0  # of close-ups lead to each of these, after this mean time
EVENTS_PER_SESSION = CLOSEUPS_PER_SESSION * (
    1
    + CLICK_SHARE
    + CLICK_SHARE * SAVE_AFTER_CLICK
    + (1 - CLICK_SHARE) * SAVE_WITHOUT_CLICK
    + OTHER_SHARE * len(OTHERS)
)
PEAK_RATE = 2_000.0  # events a second of the sessions' own time; above it, time between steps shrinks
OFFLINE_SHARE = 0.015  # of events wait on a phone without a network, up to the longest delay
DELIVERY_SECONDS = 0.8  # mean of the others
SURFACES = ("home", "search", "related", "board", "profile")
SURFACE_SHARES = (0.02, 0.5, 0.25, 0.13, 0.07, 0.03)  # of close-ups; the first: those without one
PLATFORMS = ("ios", "android", "web")
PLATFORM_SHARES = (0.02, 0.5, 0.36, 0.12)  # of sessions; the first: those without one


@dataclass(frozen=True, slots=True)
class Steps:
    """Events in the order in which they arrive, one array a column, all of one length."""

    arrival: NDArray[np.float64]  # seconds of the sessions' own time
    delay: NDArray[np.float64]  # seconds between the person's act and the arrival
    action: NDArray[np.uint8]
    pin: NDArray[np.int64]  # index
    user: NDArray[np.uint64]
    surface: NDArray[np.uint8]  # 0: none; else one more than the index in SURFACES
    platform: NDArray[np.uint8]  # the same of PLATFORMS

    def __getitem__(self, chosen: object) -> "Steps":
        return Steps(*(getattr(self, column.name)[chosen] for column in fields(self)))

    def __add__(self, other: "Steps") -> "Steps":
        return Steps(*(np.concatenate([getattr(self, c.name), getattr(other, c.name)]) for c in fields(self)))


class Sessions:
    """An endless stream of steps at a mean of `rate` a second, out of order as networks deliver them."""

    def __init__(
        self, rng: Generator, labels: Generator, pins: Pins, rate: float, max_delay: float, effect: float = 0.0
    ) -> None:
        self._rng = rng
        self._labels = labels  # their own, so that labels change nothing else
        self._pins = pins
        self._rate = min(rate, PEAK_RATE)
        self._max_delay = max_delay
        self._effect = effect  # on saves, of the arm `treatment`
        self._users = sharded_ids(rng, USER_TYPE, max(100, len(pins.ids) // 4))
        self._now = 0.0  # no session that begins later can have a step that arrives before
        self._open = self._begun(0, 0.0)

    def take(self, count: int) -> Steps:
        """The next `count` steps in order of arrival."""
        while (ready := int(np.count_nonzero(self._open.arrival < self._now))) < count:
            window = max(1.1 * (count - ready) / self._rate, 0.1)
            sessions = int(self._rng.poisson(window * self._rate / EVENTS_PER_SESSION))
            self._open += self._begun(sessions, window)
            self._now += window
        order = np.argsort(self._open.arrival, kind="stable")
        taken = self._open[order[:count]]
        self._open = self._open[order[count:]]
        return taken

    def _begun(self, sessions: int, window: float) -> Steps:
        """All steps of `sessions` sessions that begin in the next `window` seconds."""
        rng = self._rng
        lengths = rng.geometric(1 / CLOSEUPS_PER_SESSION, sessions)
        total = int(lengths.sum())
        session = np.repeat(np.arange(sessions), lengths)
        dwell = np.cumsum(rng.exponential(DWELL_SECONDS, total))
        firsts = np.cumsum(lengths) - lengths
        begin = self._now + rng.random(sessions) * window
        closeup = begin[session] + dwell - dwell[firsts][session]
        pin = self._pins.draw(rng, total)
        user = rng.choice(self._users, sessions)[session]
        surface, platform = self._drawn(SURFACE_SHARES, total), self._drawn(PLATFORM_SHARES, sessions)[session]
        clicked = rng.random(total) < CLICK_SHARE
        more = np.where(arms_of(user) == TREATMENT, 1 + self._effect, 1.0)
        saved = rng.random(total) < more * np.where(clicked, SAVE_AFTER_CLICK, SAVE_WITHOUT_CLICK)
        click = closeup + rng.exponential(CLICK_SECONDS, total)
        save = np.where(clicked, click, closeup) + rng.exponential(SAVE_SECONDS, total)
        steps = [  # action, after which of the close-ups, and when after each of them
            (Action.CLOSEUP, np.arange(total), closeup),
            (Action.CLICK, np.flatnonzero(clicked), click),
            (Action.SAVE, np.flatnonzero(saved), save),
        ]
        for action in OTHERS:
            chosen = np.flatnonzero(rng.random(total) < OTHER_SHARE)
            steps.append((action, chosen, closeup + rng.exponential(OTHER_SECONDS, total)))
        of = np.concatenate([chosen for _, chosen, _ in steps])
        acted = np.concatenate([moments[chosen] for _, chosen, moments in steps])
        delay = self._delays(len(acted))
        return Steps(
            arrival=acted + delay,
            delay=delay,
            action=np.concatenate([np.full(len(chosen), action, np.uint8) for action, chosen, _ in steps]),
            pin=pin[of],
            user=user[of],
            surface=surface[of],
            platform=platform[of],
        )

    def _drawn(self, shares: tuple[float, ...], count: int) -> NDArray[np.uint8]:
        drawn = np.searchsorted(np.cumsum(shares), self._labels.random(count), side="right")
        return np.minimum(drawn, len(shares) - 1).astype(np.uint8)

    def _delays(self, count: int) -> NDArray[np.float64]:
        rng = self._rng
        delay = 0.02 + rng.exponential(DELIVERY_SECONDS, count)
        offline = rng.random(count) < OFFLINE_SHARE
        delay[offline] = rng.random(int(offline.sum())) * self._max_delay
        return np.minimum(delay, self._max_delay)
