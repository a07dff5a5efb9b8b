"""An engine that is away, said when it goes, now and then, and when it is back: never a line a try."""

import logging
from time import monotonic

log = logging.getLogger(__name__)

SAID_AFTER_SECONDS = (0.0, 10.0, 30.0)  # then each minute
MINUTE = 60.0


class Outage:
    """One engine, seen by all threads of this process."""

    def __init__(self, name: str, stops: str = "is away", starts: str = "is back") -> None:
        """`stops` and `starts` are what it does, in words."""
        self.name = name
        self._stops, self._starts = stops, starts
        self._since: float | None = None
        self._said = 0
        self._reason = ""
        self._waiting: set[str] = set()

    @property
    def seconds(self) -> float:
        """How long it has been away; 0 while it answers."""
        since = self._since
        return 0.0 if since is None else monotonic() - since

    def still(self) -> None:
        """Say it again, if that is due and nobody tries meanwhile."""
        if self._since is not None:
            self.away(self._reason, "")

    def away(self, reason: str, waiting: str) -> None:
        """It did not answer; `waiting` is what waits for it."""
        now = monotonic()
        self._reason = reason
        self._waiting |= {waiting} - {""}
        if self._since is None:
            self._since, self._said = now, 0
        lasted = now - self._since
        if lasted >= due(self._said):
            while lasted >= due(self._said):
                self._said += 1
            ago = f" for {lasted:.0f} s" if lasted >= 1 else ""
            waiting = ", ".join(sorted(self._waiting))
            log.warning(
                "%s %s%s: %s (waiting: %s)", self.name, self._stops, ago, reason, waiting,
                extra={"engine": self.name, "reason": reason, "waiting": waiting, "seconds": round(lasted, 1)},
            )  # fmt: skip

    def back(self) -> None:
        """It answered."""
        since, self._since = self._since, None
        if since is not None:
            self._waiting.clear()
            seconds = monotonic() - since
            log.warning(
                "%s %s after %.0f s", self.name, self._starts, seconds,
                extra={"engine": self.name, "seconds": round(seconds, 1)},
            )  # fmt: skip


def due(said: int) -> float:
    """Seconds after an outage began at which the line after `said` lines is due."""
    if said < len(SAID_AFTER_SECONDS):
        return SAID_AFTER_SECONDS[said]
    return MINUTE * (said - len(SAID_AFTER_SECONDS) + 1)


KAFKA = Outage("Kafka")
CLICKHOUSE = Outage("ClickHouse")
COMMITS = Outage("committing offsets", "fails", "works again")
LETTERS = Outage("writing to dead-letter topics", "fails", "works again")  # for Kafka may answer all else meanwhile


def outage_of(error: Exception) -> Outage:
    """Whose error it is."""
    from pintally.schemas.errors import SinkUnavailable

    return CLICKHOUSE if isinstance(error, SinkUnavailable) else KAFKA
