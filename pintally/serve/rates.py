"""Outcomes a second, over the last ten seconds of looks. Pure."""

from collections import deque
from collections.abc import Mapping

from pintally.schemas.outcomes import Outcomes

SECONDS = 10.0


class Rates:
    """Remembers what looks found."""

    def __init__(self) -> None:
        self._found: deque[tuple[float, Mapping[str, Outcomes]]] = deque()

    def add(self, at: float, outcomes: Mapping[str, Outcomes]) -> None:
        """Remember what a look at ClickHouse found at a time."""
        self._found.append((at, outcomes))
        while len(self._found) > 2 and self._found[1][0] <= at - SECONDS:
            self._found.popleft()

    def of(self, topic: str, outcome: str) -> float:
        """Of one outcome, a second; 0 before the second look. Never negative: an accepted loss takes counts back."""
        if len(self._found) < 2:
            return 0.0
        (then, before), (now, after) = self._found[0], self._found[-1]
        grown = getattr(after.get(topic, Outcomes()), outcome) - getattr(before.get(topic, Outcomes()), outcome)
        return max(0.0, float(grown) / (now - then)) if now > then else 0.0
