"""Outcomes a second, over the last seconds of looks. Pure."""

from collections import deque
from collections.abc import Mapping

from pintally.schemas.outcomes import Outcomes

SECONDS = 10.0
MINUTE_SECONDS = 60.0


class Rates:
    """Remembers what looks of the last minute found."""

    def __init__(self) -> None:
        self._found: deque[tuple[float, Mapping[str, Outcomes]]] = deque()

    def add(self, at: float, outcomes: Mapping[str, Outcomes]) -> None:
        """Remember what a look at ClickHouse found at a time."""
        self._found.append((at, outcomes))
        while len(self._found) > 2 and self._found[1][0] <= at - MINUTE_SECONDS:
            self._found.popleft()

    def of(self, topic: str, outcome: str) -> float:
        """Of one outcome, a second over the last ten; 0 before the second look."""
        number, seconds = self._grown(topic, outcome, SECONDS)
        return number / seconds if seconds > 0 else 0.0

    def of_minute(self, topic: str, outcome: str) -> int:
        """Of one outcome, in the last minute, or since the first look if that is shorter."""
        return self._grown(topic, outcome, MINUTE_SECONDS)[0]

    def _grown(self, topic: str, outcome: str, seconds: float) -> tuple[int, float]:
        """By how much, and in which time. Never negative: an accepted loss takes counts back."""
        if len(self._found) < 2:
            return 0, 0.0
        now, after = self._found[-1]
        then, before = next((found for found in reversed(self._found) if found[0] <= now - seconds), self._found[0])
        grown = getattr(after.get(topic, Outcomes()), outcome) - getattr(before.get(topic, Outcomes()), outcome)
        return max(0, grown), now - then
