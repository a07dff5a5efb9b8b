"""What a reader may and may not see. Pure: it is fed with what the views answered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Counts = tuple[int, ...]  # of each action, in their order, then trusted ones; of a window without a row nothing
Of = int | tuple[int, str, str]  # pin id; in a breakdown also the dimension and the label
Window = tuple[str, int, Of]  # view, start in seconds since 1970, what is counted

SHOWN = 20  # violations that are kept in words


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a view."""

    start: int  # of the window, seconds since 1970
    pin: Of
    counts: Counts
    is_final: bool


class ReadConsistencyChecker:
    """Remembers what was seen of each window and says what must never be seen."""

    def __init__(self) -> None:
        self.looks = 0
        self.violations = 0
        self.shown: list[str] = []
        self._last: dict[Window, Row] = {}
        self._most: dict[Window, tuple[Counts, float]] = {}  # the most that was seen, and when

    @property
    def final_windows(self) -> int:
        """Windows that were seen as final."""
        return sum(row.is_final for row in self._last.values())

    def see(self, view: str, since: int, rows: Iterable[Row], at: float) -> None:
        """One answer of a view: all windows of the pins we ask for that begin at `since` or later, at time `at`."""
        self.looks += 1
        found = {(view, row.start, row.pin): row for row in rows}
        for window, before in self._last.items():
            if window[0] == view and window[1] >= since and window not in found and any(before.counts):
                self._violation(window, at, f"had {before.counts}, is gone")
        for window, row in found.items():
            self._compare(window, row, at)
            self._last[window] = row

    def conclude(self, truth: Mapping[Window, Counts]) -> None:
        """What was seen, against what is known in the end: never more, and the last look exactly."""
        for window, (most, at) in self._most.items():
            true = truth.get(window, (0,) * len(most))
            if any(seen > known for seen, known in zip(most, true, strict=True)):
                self._violation(window, at, f"showed {most}, the truth is {true}")
        for window, true in truth.items():
            last = self._last.get(window)
            if last is None or last.counts != true:
                self._violation(window, None, f"shows {last and last.counts} in the end, the truth is {true}")

    def _compare(self, window: Window, row: Row, at: float) -> None:
        before = self._last.get(window)
        if before:
            fell = any(now < then for now, then in zip(row.counts, before.counts, strict=True))
            if before.is_final and row.counts != before.counts:
                self._violation(window, at, f"was final with {before.counts}, shows {row.counts}")
            elif before.is_final and not row.is_final:
                self._violation(window, at, "was final, and is not any more")
            elif fell:
                self._violation(window, at, f"fell from {before.counts} to {row.counts}")
        most, _ = self._most.get(window, ((0,) * len(row.counts), at))
        higher = tuple(map(max, most, row.counts))
        if higher != most:
            self._most[window] = (higher, at)

    def _violation(self, window: Window, at: float | None, what: str) -> None:
        self.violations += 1
        if len(self.shown) < SHOWN:
            view, start, pin = window
            when = "" if at is None else f" ({at:.1f} s into the drill)"
            self.shown.append(f"{view} of pin {pin} at {start}: {what}{when}")
