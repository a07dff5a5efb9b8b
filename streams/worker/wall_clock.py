"""What time it is: by this process and by ClickHouse. One of the two may be wrong, and nobody can tell which.

Whatever must not happen before its time waits until it is time by both: `Reading.earliest_ms`. Then one wrong clock,
whichever it is, can only delay.
"""

import time
from dataclasses import dataclass
from typing import Protocol


class HasClock(Protocol):
    """Something with a clock of its own: a session of a sink."""

    def read_clock(self) -> int:
        """Its time in ms since 1970."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks, in ms since 1970: ours, then ClickHouse's, then ours again."""

    before_ms: int
    clickhouse_ms: int
    after_ms: int

    @property
    def earliest_ms(self) -> int:
        """The time by which it was surely this late when the reading began, unless both clocks are ahead."""
        return min(self.before_ms, self.clickhouse_ms)

    @property
    def ahead_ms(self) -> int:
        """How far our clock surely leads ClickHouse's; negative: lags behind it. What asking took is no difference."""
        return max(0, self.before_ms - self.clickhouse_ms) + min(0, self.after_ms - self.clickhouse_ms)


def own_clock() -> int:
    """Our own clock in ms since 1970."""
    return time.time_ns() // 1_000_000


def read_clocks(session: HasClock) -> Reading:
    """Both clocks, by one question to ClickHouse. Raises SinkUnavailable."""
    before = own_clock()
    theirs = session.read_clock()
    return Reading(before, theirs, own_clock())
