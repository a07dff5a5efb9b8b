"""A reader that polls the views throughout, as a dashboard would."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from pintally.schemas.actions import Action
from pintally.schemas.errors import PintallyError
from pintally.sinks.clickhouse.connection import Connection
from pintally.tools.drill.read_consistency import Counts, ReadConsistencyChecker, Row, Window
from pintally.tools.drill.stack import Stack
from pintally.tools.drill.truth import Cell
from pintally.tools.drill.truth import Counts as CellCounts

VIEWS = {"pin_engagement_1m": 60, "pin_engagement_1h": 3_600, "pin_engagement_1d": 86_400}
BREAKDOWNS = {"pin_breakdown_1h": 3_600, "pin_breakdown_1d": 86_400}
DIMENSIONS = ("surface", "platform")
PAUSE_SECONDS = 0.5
RECENT_SECONDS = 900  # most looks ask for the last minutes only
WHOLE_EVERY = 20  # looks
ANSWER_SECONDS = 10.0
COLUMNS = ", ".join(f"{prefix}{action.column}" for prefix in ("", "trusted_") for action in Action)
LABEL = ", toString(dimension), toString(label)"
QUERY = """
SELECT is_final, [{columns}], toUnixTimestamp(window_start), pin_id{label} FROM {view}
WHERE pin_id IN %(pins)s AND window_start >= toDateTime(%(since)s, 'UTC')
"""


class Reader:
    """Looks at a few pins in all views until `stop`."""

    def __init__(self, stack: Stack, pins: Sequence[int]) -> None:
        self.checker = ReadConsistencyChecker()
        self.unanswered = 0
        self._pins = tuple(pins)
        self._address = stack.settings.clickhouse
        self._began = time.monotonic()
        self._first = int(time.time()) // 86_400 * 86_400 - 86_400
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the looking."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self, whole: bool) -> None:
        """One look at each view. Raises SinkError while ClickHouse is away."""
        with Connection(self._address, ANSWER_SECONDS, only_reads=True) as connection:
            for view, length in (VIEWS | BREAKDOWNS).items():
                recent = int(time.time()) - RECENT_SECONDS
                since = self._first if whole or length > RECENT_SECONDS else recent // length * length
                sql = QUERY.format(view=view, columns=COLUMNS, label=LABEL if view in BREAKDOWNS else "")
                answer = connection.rows(sql, pins=self._pins, since=since)
                rows = [
                    Row(start, (pin, *label) if label else pin, tuple(counts), bool(final))
                    for final, counts, start, pin, *label in answer
                ]
                self.checker.see(view, since, rows, time.monotonic() - self._began)

    def _run(self) -> None:
        number = 0
        while not self._over.wait(PAUSE_SECONDS):
            try:
                self.look(whole=number % WHOLE_EVERY == 0)
                number += 1
            except PintallyError:
                self.unanswered += 1


def windows(cells: Mapping[Cell, CellCounts], pins: Sequence[int]) -> dict[Window, Counts]:
    """What every view must show of these pins in the end."""
    wanted = set(pins)
    places = {action.value: place for place, action in enumerate(Action)}
    sums: dict[Window, list[int]] = {}
    for cell, count in cells.items():
        for window in _windows_of(cell) if cell.pin in wanted else ():
            counts = sums.setdefault(window, [0] * (2 * len(places)))
            counts[places[cell.action]] += count.events
            counts[len(places) + places[cell.action]] += count.trusted
    return {window: tuple(counts) for window, counts in sums.items()}


def _windows_of(cell: Cell) -> Iterator[Window]:
    for view, length in VIEWS.items():
        yield view, cell.minute // length * length, cell.pin
    for view, length in BREAKDOWNS.items():
        for dimension in DIMENSIONS:
            yield view, cell.minute // length * length, (cell.pin, dimension, getattr(cell, dimension))
