"""The work of the benchmark: a log of events in Kafka, and what a count of it must be.

JSON events in the order of their event time, 833 of them a second of event time, on pins drawn by popularity; keyed by
pin, so that the partition follows from it. The same seed gives the same people, pins and order, whatever their shape.

The peers get one topic with these records. Pintally gets its own topics, one an action, with the same records and, on
top, what it is there to deal with: records sent twice, late ones and broken ones. Its counts must come out the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from bench.shapes import OWN, Events, Shape
from pintally.schemas.actions import Action
from pintally.tools.emulate.pins import Pins
from pintally.tools.emulate.sessions import PLATFORMS, SURFACES
from pintally.tools.emulate.values import event_ids

SLAB = 20_000
MS_AN_EVENT = 1.2  # of event time: 4,000,000 events are 80 minutes
PINS = 600_000  # of which 4,000,000 events name about 340,000
ACTIONS = {Action.CLOSEUP: 0.7, Action.CLICK: 0.2, Action.SAVE: 0.1}
LATE_MS = 24 * 3_600_000  # a late event is so much older
SHOWN_ON: list[tuple[str | None, str | None]] = [(None, None)] * 10 + [  # surface and platform: two of five have none
    (surface, platform) for surface in SURFACES for platform in PLATFORMS
]
BROKEN = b'{"event_id":"not a uuid"}'


@dataclass(frozen=True, slots=True)
class Flaws:
    """Shares of records that Pintally's topics hold on top."""

    duplicates: float = 0.01
    late: float = 0.002
    broken: float = 0.0001


@dataclass(frozen=True, slots=True)
class Slab:
    """Consecutive records in the order of event time."""

    occurred: NDArray[np.int64]  # ms since 1970
    action: NDArray[np.uint8]
    pin: NDArray[np.int64]  # index into Work.pins
    values: list[bytes]


@dataclass(frozen=True)
class Work:
    """The events numbered 0 to `events`, written in one shape; number 0 occurs at `start_ms`."""

    events: int
    start_ms: int
    seed: int = 1
    different_pins: int = PINS  # to draw from
    shape: Shape = OWN
    pins: Pins = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pins", Pins(default_rng([self.seed, 0]), self.different_pins))

    def slabs(self, events: int | None = None) -> Iterator[Slab]:
        """The first `events` of the records, all if None. A prefix is the same whatever its length."""
        return (slab for slab, _ in self.written(events))

    def written(self, events: int | None = None) -> Iterator[tuple[Slab, Events]]:
        """The same, beside what the records say; the events of the last slab may be more than its records."""
        end = self.events if events is None else min(events, self.events)
        for start in range(0, end, SLAB):
            slab, said = self._slab(start)
            kept = min(SLAB, end - start)
            yield Slab(slab.occurred[:kept], slab.action[:kept], slab.pin[:kept], slab.values[:kept]), said

    def _slab(self, start: int) -> tuple[Slab, Events]:
        rng = default_rng([self.seed, 1, start])
        occurred = self.start_ms + ((start + np.arange(SLAB)) * MS_AN_EVENT).astype(np.int64)
        pin = self.pins.draw(rng, SLAB)
        action = rng.choice(np.array([kind.value for kind in ACTIONS], np.uint8), SLAB, p=list(ACTIONS.values()))
        users = rng.integers(10_000_000, 100_000_000, SLAB).tolist()
        shown_on = [SHOWN_ON[place] for place in rng.integers(0, len(SHOWN_ON), SLAB).tolist()]
        labels = {kind.value: kind.label for kind in ACTIONS}
        said = Events(
            # The same events sent again by another run must not be taken for duplicates: ids follow from the time, too.
            event_ids(default_rng([self.seed, 2, start, self.start_ms]), SLAB),
            [labels[kind] for kind in action.tolist()],
            [self.pins.texts[index] for index in pin.tolist()],
            users,
            occurred.tolist(),
            [surface for surface, _ in shown_on],
            [platform for _, platform in shown_on],
        )
        return Slab(occurred, action, pin, self.shape.write(said, default_rng([self.seed, 4, start]))), said


def flawed(work: Work, flaws: Flaws, events: int | None = None) -> Iterator[Slab]:
    """The same records with flaws on top: duplicates shortly behind their original, late and broken ones among them."""
    rng, shape_rng = default_rng([work.seed, 3, work.start_ms]), default_rng([work.seed, 5])
    for slab, said in work.written(events):
        size = len(slab.values)
        again, late, broken = (
            rng.choice(size, min(size, rng.poisson(share * size)), replace=False)
            for share in (flaws.duplicates, flaws.late, flaws.broken)
        )
        origin = np.concatenate([np.arange(size), again, late, broken])
        place = np.concatenate(
            [np.arange(size), again + rng.integers(1, 400, len(again)) + 0.5, late + 0.5, broken + 0.5]
        )
        order = np.argsort(place, kind="stable")
        values = slab.values + [slab.values[index] for index in again.tolist()]
        values += work.shape.write(_late(said, late.tolist(), event_ids(rng, len(late))), shape_rng)
        values += [BROKEN] * len(broken)
        origin = origin[order]
        # Stamped as they arrive: no record is stamped before the one it stands behind.
        stamped = np.maximum.accumulate(slab.occurred[origin])
        yield Slab(stamped, slab.action[origin], slab.pin[origin], [values[index] for index in order.tolist()])


def _late(said: Events, places: list[int], ids: list[str]) -> Events:
    """New events like those at `places`, much older."""
    events = said.at(places)
    return replace(events, event_ids=ids, occurred=[at - LATE_MS for at in events.occurred])
