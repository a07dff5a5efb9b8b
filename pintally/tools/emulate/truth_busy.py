"""Which users did much in an hour, over all pins: among them are those that are flagged once it is sealed (C37)."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.rules import HOUR_MS
from pintally.tools.emulate.sums import MOST_PARTS
from pintally.tools.emulate.traffic import Slab

MOST: Final = 10  # counted events of a user in an hour that is not told of
_PLACE = np.dtype([("hour", "<u4"), ("user", "<u8"), ("pin", "<i8")])


class Busy(NamedTuple):
    """A user that did much in an hour."""

    hour: int  # its start in seconds since 1970
    user: int
    events: int  # counted
    pins: int  # distinct ones among them


class UserHours:
    """Grows with every slab: 28 bytes for each different user, hour and pin."""

    def __init__(self) -> None:
        self._places: list[NDArray[np.void]] = []
        self._counts: list[NDArray[np.int64]] = []

    def add(self, slab: Slab, counted: NDArray[np.bool_]) -> None:
        """Take in the counted records of a slab."""
        places = np.empty(int(counted.sum()), _PLACE)
        places["hour"] = slab.occurred[counted] // HOUR_MS * (HOUR_MS // 1000)
        places["user"], places["pin"] = slab.user[counted], slab.pin[counted]
        found, counts = np.unique(places, return_counts=True)
        self._places.append(found)
        self._counts.append(counts.astype(np.int64))
        if len(self._places) > MOST_PARTS:
            self._merge()

    def busy(self) -> Iterator[Busy]:
        """Each user and hour with more than MOST counted events, in order."""
        self._merge()
        places, counts = (self._places[0], self._counts[0]) if self._places else (np.empty(0, _PLACE), np.empty(0, int))
        by = places[["hour", "user"]]
        starts = np.flatnonzero(np.append(True, by[1:] != by[:-1])[: len(by)])
        events = np.add.reduceat(counts, starts) if len(starts) else counts
        pins = np.diff(np.append(starts, len(places)))
        for at in np.flatnonzero(events > MOST).tolist():
            hour, user, _ = places[starts[at]].tolist()
            yield Busy(hour, user, int(events[at]), int(pins[at]))

    def _merge(self) -> None:
        if len(self._places) > 1:
            places, inverse = np.unique(np.concatenate(self._places), return_inverse=True)
            counts = np.zeros(len(places), np.int64)
            np.add.at(counts, inverse, np.concatenate(self._counts))
            self._places, self._counts = [places], [counts]
