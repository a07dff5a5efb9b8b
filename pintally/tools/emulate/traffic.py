"""The stream of records of one run, each with its outcome. Pure: the same plan, rules and anchor give the same
bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.outcomes import Outcome
from pintally.schemas.rules import Rules
from pintally.tools.emulate.bots import Bots, owed
from pintally.tools.emulate.broken import KINDS, Good
from pintally.tools.emulate.pins import Pins
from pintally.tools.emulate.plan import Plan, margins
from pintally.tools.emulate.schedule import Schedule
from pintally.tools.emulate.sessions import Sessions, Steps
from pintally.tools.emulate.values import event_ids, write

SLAB_RECORDS = 20_000  # made at once: large enough for numpy, small enough to be sent while the next is made
LIVE_SLAB_RECORDS = 200  # at least; a slab is the reach of duplicates


@dataclass(frozen=True, slots=True)
class Slab:
    """Consecutive records of a run, in the order of their arrival. One entry a record in each column."""

    arrival: NDArray[np.int64]  # ms since 1970, ascending: the record's CreateTime
    occurred: NDArray[np.int64]  # ms since 1970, of the event as it was before it was broken
    action: NDArray[np.uint8]  # of the topic
    pin: NDArray[np.int64]  # index into Pins; its id is the key
    outcome: NDArray[np.uint8]
    user: NDArray[np.uint64]
    surface: NDArray[np.uint8]  # numbers, as in Steps
    platform: NDArray[np.uint8]
    values: list[bytes | None]

    def __len__(self) -> int:
        return len(self.values)

    def part(self, start: int, end: int) -> "Slab":
        """Records number `start` to `end` of this slab."""
        return Slab(*(getattr(self, column.name)[start:end] for column in fields(self)))


class Traffic:
    """All records of `plan`, whose margins are checked against `rules`. Raises PlanRefused."""

    def __init__(self, plan: Plan, rules: Rules, anchor_ms: int) -> None:
        self.plan = plan
        self.rules = rules
        self.anchor_ms = anchor_ms
        self.margins = margins(plan, rules)
        self.pins = Pins(default_rng([plan.seed, 0]), plan.pins)
        self._schedule = Schedule(plan, anchor_ms)
        rate = plan.rate or (plan.events or 1) / (plan.span_ms / 1000)
        labels = default_rng([plan.seed, 4])
        people = default_rng([plan.seed, 1])
        self._sessions = Sessions(people, labels, self.pins, rate, self.margins.delay / 1000, plan.effect)
        self._bots = Bots(default_rng([plan.seed, 5]), self.pins)
        self._rng = default_rng([plan.seed, 2])
        # A second run with the same seed is the same traffic again, and must not be taken for its duplicates.
        self._id_rng = default_rng([plan.seed, 3, anchor_ms])

    def slabs(self) -> Iterator[Slab]:
        """The run from its start; endless if the plan is."""
        size = SLAB_RECORDS
        if self.plan.rate is not None:
            size = int(min(SLAB_RECORDS, max(LIVE_SLAB_RECORDS, self.plan.rate)))
        start = 0
        while self.plan.events is None or start < self.plan.events:
            count = size if self.plan.events is None else min(size, self.plan.events - start)
            yield self._slab(start, count)
            start += count

    def _slab(self, start: int, count: int) -> Slab:
        rng = self._rng
        duplicates, late, broken = self._owed(start, count)
        fresh = count - duplicates
        order, outcome = _shuffle(rng, fresh, duplicates, late, broken, self.margins.duplicate_gap)
        arrival = self._schedule.arrivals(start, count)
        first = np.flatnonzero(order < fresh)  # where each fresh record ends up
        steps = self._sessions.take(fresh)
        steps = self._bots.take_over(steps, min(fresh, owed(self.plan.bots, start, count)))
        occurred = arrival[first] - np.maximum((steps.delay * 1000).astype(np.int64), 1)
        is_late = outcome == Outcome.LATE
        occurred[is_late] = arrival[first][is_late] - rng.integers(
            self.margins.late_from, self.margins.late_to, int(is_late.sum())
        )
        values = self._write(rng, steps, occurred, arrival[first], outcome)
        origin = np.where(order < fresh, order, order - fresh)
        outcomes = outcome[origin]
        outcomes[order >= fresh] = Outcome.DUPLICATE if self.rules.dedup else Outcome.COUNTED
        return Slab(
            arrival=arrival,
            occurred=occurred[origin],
            action=steps.action[origin],
            pin=steps.pin[origin],
            outcome=outcomes,
            user=steps.user[origin],
            surface=steps.surface[origin],
            platform=steps.platform[origin],
            values=[values[index] for index in origin.tolist()],
        )

    def _owed(self, start: int, count: int) -> tuple[int, int, int]:
        """How many duplicates, late and broken records a slab has, so that the run's shares come out."""
        late, broken, again = (
            owed(share, start, count) for share in (self.plan.late, self.plan.broken, self.plan.duplicates)
        )
        if late + broken > count:
            late, broken = 0, count
        return min(again, (count - late - broken) // 2), late, broken

    def _write(
        self,
        rng: Generator,
        steps: Steps,
        occurred: NDArray[np.int64],
        arrival: NDArray[np.int64],
        outcome: NDArray[np.uint8],
    ) -> list[bytes | None]:
        ids = event_ids(self._id_rng, len(occurred))
        values: list[bytes | None] = list(write(rng, ids, steps, occurred, self.pins))
        broken = np.flatnonzero(outcome == Outcome.INVALID).tolist()
        kinds = list(KINDS.values())
        for index, kind in zip(broken, rng.integers(0, len(kinds), len(broken)).tolist(), strict=True):
            fields = {
                "event_id": ids[index],
                "action": Action(steps.action[index]).label,
                "pin_id": self.pins.texts[steps.pin[index]],
                "user_id": str(steps.user[index]),
                "occurred_at": int(occurred[index]),
            }
            values[index] = kinds[kind](Good(fields, int(arrival[index]), self.margins))
        return values


def _shuffle(
    rng: Generator, fresh: int, duplicates: int, late: int, broken: int, gap: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The order of a slab, and the outcome of its fresh records.

    The order names fresh record i by i, and the duplicate of i by fresh + i. Each duplicate stands behind its original,
    at most 3 * gap + 2 places: `gap` fresh records and the duplicates of its neighbours lie between.
    """
    outcome = np.full(fresh, Outcome.COUNTED, np.uint8)
    odd = rng.choice(fresh, late + broken, replace=False)
    outcome[odd[:late]] = Outcome.LATE
    outcome[odd[late:]] = Outcome.INVALID
    originals = rng.choice(np.flatnonzero(outcome == Outcome.COUNTED), duplicates, replace=False)
    behind = originals + rng.integers(0, gap + 1, duplicates) + 0.5
    place = np.concatenate([np.arange(fresh, dtype=np.float64), behind])
    names = np.concatenate([np.arange(fresh), fresh + originals])
    return names[np.argsort(place, kind="stable")], outcome
