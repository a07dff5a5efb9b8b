"""When records arrive: at a steady rate from now on, or spread over the time just past as a day's traffic is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.rules import DAY_MS, MINUTE_MS
from pintally.tools.emulate.plan import SLOWEST_SHARE, Plan

PEAK_HOUR = 20.0  # UTC
SWING = 1 - SLOWEST_SHARE  # the peak has 1.6 times the mean of a day


@dataclass(frozen=True, slots=True)
class Schedule:
    """Arrival times of the records of one run that starts at `anchor_ms`, ascending, in ms since 1970."""

    plan: Plan
    anchor_ms: int

    def arrivals(self, start: int, count: int) -> NDArray[np.int64]:
        """Arrival times of records number `start` to `start + count` of the run."""
        numbers = np.arange(start, start + count, dtype=np.float64) + 0.5
        if self.plan.rate is not None:
            return self.anchor_ms + (numbers * 1000 / self.plan.rate).astype(np.int64)
        edges, cumulated = self._curve()
        return np.interp(numbers / float(self.plan.events or 1), cumulated, edges).astype(np.int64)

    def _curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times from the start of the span to its end, and the share of records that arrive before each."""
        points = max(2, self.plan.span_ms // MINUTE_MS + 1)
        edges = np.linspace(self.anchor_ms - self.plan.span_ms, self.anchor_ms, points)
        middle = (edges[1:] + edges[:-1]) / 2
        hour = middle % DAY_MS / DAY_MS * 24
        weight = 1 + SWING * np.cos((hour - PEAK_HOUR) / 24 * 2 * np.pi)
        cumulated = np.concatenate([[0.0], np.cumsum(weight)])
        return edges, cumulated / cumulated[-1]
