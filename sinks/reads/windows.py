"""Windows of event time, and which part of one is in complete hours and which in open ones."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pintally.sinks.reads.cuts import Cut

TEN_MINUTES, HOUR, DAY = 600, 3600, 86_400
FOREVER = 2**32 - 1  # the last second of ClickHouse's DateTime


class Recent(StrEnum):
    """Windows that move with the cut, as decision 17 defines them."""

    TODAY = "today"
    LAST_24H = "24h"
    LAST_HOUR = "1h"
    LAST_TEN_MINUTES = "10m"


@dataclass(frozen=True, slots=True)
class Window:
    """[start, end) in event time, in seconds since 1970; an hour, a day, or what `recent` returns."""

    start: int
    end: int = FOREVER  # of windows that end with what is known: clocks of producers may be ahead

    @property
    def starts_at(self) -> datetime:
        """The start, as a time."""
        return datetime.fromtimestamp(self.start, UTC)

    @property
    def ends_at(self) -> datetime | None:
        """The end, as a time; None if the window ends with what is known."""
        return None if self.end == FOREVER else datetime.fromtimestamp(self.end, UTC)


def recent(name: Recent, moment: int) -> Window:
    """Returns the window of that name that belongs to a cut, or to another multiple of ten minutes."""
    if name is Recent.TODAY:
        day = moment // DAY * DAY
        return Window(day, day + DAY)
    if name is Recent.LAST_24H:
        return Window((moment - DAY) // HOUR * HOUR)
    return Window(moment - (HOUR if name is Recent.LAST_HOUR else TEN_MINUTES))


@dataclass(frozen=True, slots=True)
class Parts:
    """What of a window is read from where, at one cut. Moments are in seconds since 1970."""

    start: int  # complete hours: [start, complete)
    complete: int
    open: int  # ten minutes of hours that are not complete: [open, end)
    end: int

    @classmethod
    def of(cls, window: Window, cut: Cut) -> "Parts":
        """Returns the parts of a window at a cut. Either may be empty."""
        complete = max(window.start, min(window.end, cut.hours_until))
        return cls(window.start, complete, complete, max(window.end, complete))
