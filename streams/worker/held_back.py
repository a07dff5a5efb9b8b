"""A worker says when an open transaction holds a partition back: else its lag grows and nothing tells why. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NOTICE_SECONDS = 60.0
AGAIN_SECONDS = 600.0

Ends = tuple[int, int]  # last stable offset, end of the log


@dataclass(slots=True)
class _Held:
    offset: int
    since: float
    said: float | None = None


@dataclass(slots=True)
class HeldBack:
    """Remembers since when each partition is held back at one offset; times are monotonic seconds."""

    held: dict[tuple[str, int], _Held] = field(default_factory=dict)

    def look(self, now: float, ends: Mapping[tuple[str, int], Ends]) -> list[tuple[str, int, int, float]]:
        """Topic, partition, offset and seconds of what is held back for a minute, once, and again each ten minutes."""
        self.held = {
            at: known if (known := self.held.get(at)) and known.offset == stable else _Held(stable, now)
            for at, (stable, end) in ends.items()
            if stable < end
        }
        told = []
        for (topic, partition), held in self.held.items():
            last = held.since + NOTICE_SECONDS if held.said is None else held.said + AGAIN_SECONDS
            if now >= last:
                held.said = now
                told.append((topic, partition, held.offset, now - held.since))
        return told
