"""Says when clocks differ: when it is found, now and then while it lasts, and when it is over."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Set
from datetime import UTC, datetime

from pintally.schemas.errors import SinkUnavailable
from pintally.schemas.sources import Source
from pintally.sinks.maintenance import MaintainedSink
from pintally.streams.worker.finality import Look
from pintally.streams.worker.wall_clock import Reading, read_clocks

log = logging.getLogger(__name__)

DIFFERENCE_MS = 30_000  # less harms nobody: hours are sealed that much later
AGAIN_SECONDS = 600.0
THIS = "this machine"


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

    async def compare(self, sink: MaintainedSink) -> None:
        """Compare this machine's clock with ClickHouse's, as every worker does."""
        try:
            clocks = await asyncio.to_thread(_read, sink)
        except SinkUnavailable:
            return  # whoever needs it says so
        self._say({THIS: words} if (words := difference(clocks)) else {}, {THIS})

    def tell(self, found: Look) -> None:
        """Say what a look at the sources shows of their brokers."""
        wrong = broker_differences(found.clocks, found.source_clocks, found.behind_ms)
        self._say(wrong, self._said.keys() - {THIS})

    def _say(self, wrong: Mapping[str, str], asked: Set[str]) -> None:
        """`asked` are those of whom it was said before and who were looked at again."""
        now = self._monotonic()
        for whose, words in wrong.items():
            if now - self._said.get(whose, float("-inf")) >= AGAIN_SECONDS:
                log.warning("%s", words)
                self._said[whose] = now
        for whose in (self._said.keys() & asked) - wrong.keys():
            log.warning("clocks agree again: %s", whose)
            del self._said[whose]


def _read(sink: MaintainedSink) -> Reading:
    with sink.session() as session:
        return read_clocks(session)


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
