"""What time it is, by this process and by ClickHouse, and what is said where the two or a broker's differ.

One of the two may be wrong, and nobody can tell which. Whatever must not happen before its time waits until it is time
by both: `Reading.earliest_ms`. Then one wrong clock, whichever it is, can only delay.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.sources import Source
from pintally.sinks.base import Sink

log = logging.getLogger(__name__)

DIFFERENCE_MS = 30_000  # less harms nobody: hours are sealed that much later
AGAIN_SECONDS = 600.0
THIS = "this machine"


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


def difference(clocks: Reading) -> str | None:
    """In words, if this machine's clock and ClickHouse's differ by more than half a minute."""
    if abs(clocks.ahead_ms) <= DIFFERENCE_MS:
        return None
    side = "ahead of" if clocks.ahead_ms > 0 else "behind"
    return (
        f"the clock of this machine is {abs(clocks.ahead_ms) / 1000:,.0f} s {side} ClickHouse's "
        f"({_utc(clocks.before_ms)} here, {_utc(clocks.clickhouse_ms)} there): hours are sealed by the earlier of the "
        "two, never early, perhaps late. Have the wrong one set (timedatectl and chronyc tracking show it)."
    )


def broker_differences(
    clocks: Reading, source_clocks: Mapping[Source, int], behind_ms: Mapping[Source, int]
) -> dict[str, str]:
    """In words, by source: brokers whose stamps are ahead of both other clocks, or long over when they are made."""
    latest = max(clocks.after_ms, clocks.clickhouse_ms)
    found = {
        str(source): (
            f"records of {source} are stamped {(clock - latest) / 1000:,.0f} s ahead of ClickHouse's clock and of this "
            f"machine's ({_utc(clock)} against {_utc(latest)}): events that are on time are late there. Sealing waits. "
            "Have the clock of the broker that leads this partition set."
        )
        for source, clock in source_clocks.items()
        if clock > latest + DIFFERENCE_MS
    }
    return found | {
        str(source): (
            f"records of {source} are stamped {behind / 1000:,.0f} s or more behind the time they come: hours are "
            "sealed by the stamps, that much later. Have the clock of the broker that leads this partition set."
        )
        for source, behind in behind_ms.items()
    }


class ClockDifferences:
    """What a worker has said of the clocks so far."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: dict[str, float] = {}  # whose clock -> when it was last said

    async def compare(self, sink: Sink) -> None:
        """Compare this machine's clock with ClickHouse's, as every worker does."""
        try:
            clocks = await asyncio.to_thread(_read, sink)
        except SinkUnavailable:
            return  # whoever needs it says so
        self._say({THIS: words} if (words := difference(clocks)) else {}, {THIS})

    def tell(self, clocks: Reading, source_clocks: Mapping[Source, int], behind_ms: Mapping[Source, int]) -> None:
        """Say what a look at the sources shows of their brokers."""
        wrong = broker_differences(clocks, source_clocks, behind_ms)
        self._say(wrong, self._said.keys() - {THIS})

    def _say(self, wrong: Mapping[str, str], asked: Set[str]) -> None:
        """`asked` are those of whom it was said before and who were looked at again."""
        now = self._monotonic()
        for whose, words in wrong.items():
            if now - self._said.get(whose, float("-inf")) >= AGAIN_SECONDS:
                log.warning("clocks differ: %s", words, extra={"reason": words})
                self._said[whose] = now
        for whose in (self._said.keys() & asked) - wrong.keys():
            log.warning("clocks agree again: %s", whose)
            del self._said[whose]


def _read(sink: Sink) -> Reading:
    with sink.session() as session:
        return read_clocks(session)


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
