"""What must be counted at the end, summed over everything that was sent."""

import json
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from pintally.schemas.actions import Action

Cell = tuple[int, int, int]  # action, start of the minute in seconds since 1970, pin id

LABELS = {action.label: int(action) for action in Action}


class Expected:
    """Counts by cell. Filled from several threads."""

    def __init__(self) -> None:
        self.cells: Counter[Cell] = Counter()
        self.sent = 0  # records, every outcome included
        self.unknown: list[str] = []  # why counts may be higher than this: something may or may not have been sent
        self.foreign_known = True  # whether all is known of the records of foreign producers
        self._turn = threading.Lock()

    def add(self, cells: Mapping[Cell, int] | Iterable[Cell], sent: int) -> None:
        """Take in `sent` acknowledged records and those of them that must be counted."""
        with self._turn:
            self.cells.update(cells)
            self.sent += sent

    def add_file(self, path: Path) -> None:
        """Take in what `pintally emulate --truth` wrote."""
        cells: dict[Cell, int] = {}
        sent = 0
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                told = json.loads(line)
                if "pin_id" in told:
                    cells[LABELS[told["action"]], told["minute"], int(told["pin_id"])] = told["count"]
                else:
                    sent += told["records"]
        self.add(cells, sent)

    def doubt(self, reason: str) -> None:
        """Nobody knows whether some records were sent."""
        with self._turn:
            self.unknown.append(reason)


def differences(expected: Mapping[Cell, int], found: Mapping[Cell, int], show: int = 5) -> tuple[int, list[str]]:
    """How many cells differ, and the first of them in words."""
    wrong = [cell for cell in expected.keys() | found.keys() if expected.get(cell, 0) != found.get(cell, 0)]
    return len(wrong), [
        f"{Action(action).label} of pin {pin} in minute {minute}: sent {expected.get((action, minute, pin), 0)}, "
        f"counted {found.get((action, minute, pin), 0)}"
        for action, minute, pin in sorted(wrong)[:show]
    ]
