"""What must be counted at the end, summed over everything that was sent."""

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pintally.schemas.actions import Action
from pintally.schemas.label_column import UNKNOWN


class Cell(NamedTuple):
    """What an event is counted by."""

    action: int
    minute: int  # its start in seconds since 1970
    pin: int
    surface: str = UNKNOWN
    platform: str = UNKNOWN


class Counts(NamedTuple):
    """The counts of a cell."""

    events: int
    trusted: int


LABELS = {action.label: int(action) for action in Action}


class Expected:
    """Counts by cell. Filled from several threads.

    What is trusted depends on slices, which the producers share. Each knows an upper bound.
    """

    def __init__(self) -> None:
        self.cells: Counter[Cell] = Counter()
        self.trusted_at_most: Counter[Cell] = Counter()
        self.sent = 0  # records, every outcome included
        self.unknown: list[str] = []  # why counts may be higher than this: something may or may not have been sent
        self.foreign_known = True  # whether all is known of the records of foreign producers
        self._turn = threading.Lock()

    def add(
        self, cells: Mapping[Cell, int] | Iterable[Cell], sent: int, trusted: Mapping[Cell, int] | None = None
    ) -> None:
        """Take in `sent` acknowledged records, those of them that must be counted, and at most trusted (None: all)."""
        with self._turn:
            self.cells.update(cells)
            self.trusted_at_most.update(cells if trusted is None else trusted)
            self.sent += sent

    def add_file(self, path: Path) -> None:
        """Take in what `pintally emulate --truth` wrote of records and cells.

        Several runs have users in common, and arms are for `verify` to compare.
        """
        cells: dict[Cell, int] = {}
        trusted: dict[Cell, int] = {}
        sent = 0
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                told = json.loads(line)
                if "count" in told:
                    action, pin = LABELS[told["action"]], int(told["pin_id"])
                    cell = Cell(action, told["minute"], pin, told["surface"], told["platform"])
                    cells[cell] = told["count"]
                    trusted[cell] = told["count"] if told["trusted"] is None else told["trusted"]
                sent += told.get("records", 0)
        self.add(cells, sent, trusted)

    def doubt(self, reason: str) -> None:
        """Nobody knows whether some records were sent."""
        with self._turn:
            self.unknown.append(reason)


def differences(expected: Mapping[Cell, int], found: Mapping[Cell, int], show: int = 5) -> tuple[int, list[str]]:
    """How many cells differ, and the first of them in words."""
    wrong = [cell for cell in expected.keys() | found.keys() if expected.get(cell, 0) != found.get(cell, 0)]
    return len(wrong), [
        f"{_in_words(cell)}: sent {expected.get(cell, 0)}, counted {found.get(cell, 0)}"
        for cell in sorted(wrong)[:show]
    ]


def trusted_above(bounds: Mapping[Cell, int], found: Mapping[Cell, Counts]) -> list[str]:
    """The cells of which more is trusted than can be, in words."""
    above = [cell for cell, counts in found.items() if counts.trusted > bounds.get(cell, 0)]
    return [
        f"{_in_words(cell)}: {found[cell].trusted} trusted, at most {bounds.get(cell, 0)} can be"
        for cell in sorted(above)
    ]


def _in_words(cell: Cell) -> str:
    where = f"on {cell.surface!r}, {cell.platform!r}"
    return f"{Action(cell.action).label} of pin {cell.pin} in minute {cell.minute} {where}"
