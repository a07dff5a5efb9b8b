"""What is published of the tables of features: cuts, and the windows of `feature_seals`."""

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import MEASURES

TEN_MINUTES = 600
HOUR = 3600
DAY = 86_400

CUTS = """
SELECT toUInt32(cut) AS at, toUInt32(argMin(hours_until, (published_at, seal))) AS until,
    groupUniqArray(toUInt32(hours_until)) AS untils, toUnixTimestamp64Milli(min(published_at)) AS published_ms
FROM cuts GROUP BY cut ORDER BY cut"""
WINDOWS = f"""
SELECT toString(kind) AS kind, toUInt32(window_start) AS start, rows_seal, is_open,
    toUInt32(complete_at) AS complete_at, pins, {", ".join(MEASURES)}
FROM feature_seals FINAL
WHERE window_start >= toDateTime({{oldest:UInt32}}, 'UTC')
ORDER BY kind, start"""


@dataclass(frozen=True, slots=True)
class Cut:
    """A cut; times in seconds since 1970. If it has several rows, the first publication counts."""

    at: int
    hours_until: int
    published_ms: int
    agrees: bool = True  # all of its rows have the same hours_until


@dataclass(frozen=True, slots=True)
class Window:
    """The row of a window in `feature_seals`."""

    rows_seal: int
    is_open: bool
    complete_at: int
    totals: tuple[int, ...]  # rows, then counts


@dataclass(frozen=True)
class State:
    """Everything that is published, of one moment or of a later one: cuts are read first."""

    cuts: tuple[Cut, ...]  # ascending
    windows: dict[tuple[str, int], Window]  # by kind and start

    @property
    def newest(self) -> int:
        """The newest cut; 0 if there is none."""
        return self.cuts[-1].at if self.cuts else 0

    @property
    def hours_until(self) -> int:
        """End of the complete hours at the newest cut."""
        return self._reached[-1] if self.cuts else 0

    @property
    def first_hours_until(self) -> int:
        """End of the hours that were complete at the first cut: no reader ever takes them from tiles."""
        return self._reached[0] if self.cuts else 0

    @cached_property
    def _reached(self) -> list[int]:
        """`hours_until` of each cut, as it never goes back."""
        reached: list[int] = []
        for cut in self.cuts:
            reached.append(max(cut.hours_until, reached[-1] if reached else 0))
        return reached

    def complete_at(self, hour: int) -> int | None:
        """The first cut at which an hour is complete; None if none is there yet."""
        place = bisect_right(self._reached, hour)
        return self.cuts[place].at if place < len(self.cuts) else None

    def closed(self, kind: str, start: int) -> Window | None:
        """A window that is sealed, and not open."""
        window = self.windows.get((kind, start))
        return None if window is None or window.is_open else window

    def is_open(self, kind: str, start: int) -> bool:
        """Whether a window was opened, and is to be sealed again."""
        window = self.windows.get((kind, start))
        return window is not None and window.is_open


def read_state(clickhouse: ClickHouse, oldest: int = 0) -> State:
    """Returns all cuts, and the windows from `oldest` (seconds) on."""
    cuts = tuple(
        Cut(row["at"], row["until"], row["published_ms"], len(row["untils"]) == 1) for row in clickhouse.rows(CUTS)
    )
    windows = {
        (row["kind"], row["start"]): Window(
            row["rows_seal"], row["is_open"], row["complete_at"], tuple(row[name] for name in ("pins", *MEASURES))
        )
        for row in clickhouse.rows(WINDOWS, oldest=oldest)
    }
    return State(cuts, windows)
