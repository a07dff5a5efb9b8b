"""Features of pins, added up from events in Python: the formulas of decision 17, without the tables of ClickHouse."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

TEN, HOUR, DAY = 600, 3600, 86_400
SIX_HOURS = 6 * HOUR
SAVE, CLICK, CLOSEUP = 1, 2, 3
ACTIONS = (SAVE, CLICK, CLOSEUP)
Row = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Counted events of one cell, in seconds since 1970."""

    arrived_at: int  # the bucket
    minute: int
    pin: int
    action: int
    events: int = 1
    untrusted: int = 0  # so many of them


def hours_until(cut: int, lateness: int = HOUR) -> int:
    """Every hour before it is complete at the cut."""
    return (cut - lateness) // HOUR * HOUR


def true_features(events: Iterable[Event], cut: int, until: int | None = None) -> dict[int, Row]:
    """What `pin_features` must show at a cut, without `pin_id` and `as_of`. `until`: its `hours_until`."""
    until = hours_until(cut) if until is None else until
    known: dict[int, list[Event]] = {}
    for event in events:
        if event.arrived_at < cut and event.minute // HOUR * HOUR >= until // DAY * DAY - 30 * DAY:
            known.setdefault(event.pin, []).append(event)
    return {pin: _row(of, cut, until) for pin, of in known.items()}


def _row(events: list[Event], cut: int, until: int) -> Row:
    day, last_24h = until // DAY * DAY, cut // HOUR * HOUR - DAY
    starts = (cut - HOUR, last_24h, day - 7 * DAY, day - 30 * DAY)
    hour_1, hours_24, days_7, days_30 = ([_sum(events, action, start) for action in ACTIONS] for start in starts)
    trusted = [_sum(events, action, start, trusted=True) for start in starts for action in ACTIONS]
    rates = [part / counts[2] if counts[2] else None for counts in (hours_24, days_7) for part in counts[:2]]
    decayed = [_decayed(events, action, cut, until, last_24h) for action in ACTIONS]
    x, week = sum(hour_1), sum(days_7)
    mean = (week - x) / ((cut - day) / 3600 + 167)
    return (*hour_1, *hours_24, *days_7, *days_30, *trusted, *rates, *decayed, (x - mean) / math.sqrt(mean + 1))


def _sum(events: list[Event], action: int, start: int, *, trusted: bool = False) -> int:
    """An hour of which a window needs a part is added up by its tiles, which are of hours that are not complete."""
    within = (each for each in events if each.action == action and each.minute // TEN * TEN >= start)
    return sum(each.events - each.untrusted * trusted for each in within)


def _decayed(events: list[Event], action: int, cut: int, until: int, start: int) -> float:
    total = 0
    for each in events:
        if each.action == action and each.minute // TEN * TEN >= start:
            hour, tile = each.minute // HOUR * HOUR, each.minute // TEN * TEN
            age = cut // HOUR * HOUR - hour if hour < until else cut - tile
            total += each.events * round(2**20 * 2 ** (-age / SIX_HOURS))
    return total / 2**20
