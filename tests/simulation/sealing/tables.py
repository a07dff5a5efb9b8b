"""The tables of sealing on one simulated replica, as far as hours and days of plain cells need them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pintally.sinks.clickhouse.per_action import COUNTED

HOUR, DAY = 3600, 86_400
Counts = tuple[int, ...]  # events, trusted events, and nothing of other actions
NONE: Counts = (0,) * len(COUNTED)
ROLL_UPS = {"hour": "pin_hours", "day": "pin_days"}
TABLES = ("pin_minutes", "pin_hours", "pin_days", "sealed", "seal_numbers")


@dataclass
class Tables:
    """Each table in the way of its engine: of equal keys the highest version stays, rows of roll-ups all stay."""

    seal_numbers: list[tuple[Any, ...]] = field(default_factory=list)
    pin_minutes: dict[tuple[Any, ...], tuple[int, int, int]] = field(default_factory=dict)
    pin_hours: list[tuple[int, int, Counts, int]] = field(default_factory=list)  # window, pin, counts, seal
    pin_days: list[tuple[int, int, Counts, int]] = field(default_factory=list)
    sealed: dict[tuple[str, int], tuple[Any, ...]] = field(default_factory=dict)

    def add(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """A part."""
        if table == "sealed":
            for resolution, start, seal, *rest in rows:
                if seal >= self.sealed.get((resolution, start), (0,))[0]:
                    self.sealed[resolution, start] = (seal, *rest)
        elif table == "pin_minutes":
            for minute, pin, cell, version, events, trusted in rows:
                key = minute, pin, cell
                if version >= self.pin_minutes.get(key, (0,))[0]:
                    self.pin_minutes[key] = version, events, trusted
        else:
            getattr(self, table).extend(tuple(row) for row in rows)

    def cells(self, start: int, end: int) -> dict[int, Counts]:
        """Counts of each pin in [start, end), seconds since 1970."""
        found: defaultdict[int, list[int]] = defaultdict(lambda: list(NONE))
        for (minute, pin, _), (_, events, trusted) in self.pin_minutes.items():
            if start <= minute < end:
                found[pin][0] += events
                found[pin][1] += trusted
        return {pin: tuple(counts) for pin, counts in found.items() if counts[0]}

    def rolled_up(self, resolution: str, start: int, seals: Sequence[int]) -> list[tuple[int, Counts]]:
        """The rows of a window with one of these numbers."""
        rows = getattr(self, ROLL_UPS[resolution])
        return [(pin, counts) for at, pin, counts, seal in rows if at == start and seal in seals]

    def shown(self, resolution: str, start: int) -> dict[int, Counts]:
        """What readers of a window see: its roll-up if it is sealed, else its minutes."""
        seal, is_open, *_ = self.sealed.get((resolution, start), (0, True))
        if is_open:
            return self.cells(start, start + (HOUR if resolution == "hour" else DAY))
        return by_pin(self.rolled_up(resolution, start, [seal]))

    @property
    def sealed_until(self) -> int:
        """End of the last sealed hour; 0 if there is none."""
        hours = (
            start + HOUR for (resolution, start), row in self.sealed.items() if resolution == "hour" and not row[1]
        )
        return max(hours, default=0)


def by_pin(rows: Iterable[tuple[int, Counts]]) -> dict[int, Counts]:
    """Rows of one pin are added up."""
    found: dict[int, Counts] = {}
    for pin, counts in rows:
        found[pin] = added(found.get(pin, NONE), counts)
    return found


def added(one: Counts, other: Counts) -> Counts:
    """Both together."""
    return tuple(a + b for a, b in zip(one, other, strict=True))


def total(each: Iterable[Counts]) -> Counts:
    """All together."""
    found = NONE
    for counts in each:
        found = added(found, counts)
    return found
