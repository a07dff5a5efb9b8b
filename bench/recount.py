"""What a log must give, counted on a path of its own: parsed by the standard library, an event at a time."""

import json
from collections.abc import Iterable

import numpy as np

from bench.cells import Cells, count

MINUTE_MS = 60_000


class Recount:
    """Grows with every chunk of records' values."""

    def __init__(self) -> None:
        self.events = 0
        self.bytes = 0  # of their values
        self._pins = [np.empty(0, np.uint64)]
        self._minutes = [np.empty(0, np.uint32)]

    def add(self, values: Iterable[bytes]) -> None:
        """Take in events. Raises ValueError or KeyError on a record that is none: the log has no such."""
        pins: list[int] = []
        minutes: list[int] = []
        for value in values:
            event = json.loads(value)
            pins.append(int(event["pin_id"]))
            minutes.append(event["occurred_at"] // MINUTE_MS * 60)
            self.bytes += len(value)
        self.events += len(pins)
        self._pins.append(np.array(pins, np.uint64))
        self._minutes.append(np.array(minutes, np.uint32))

    def cells(self) -> Cells:
        """The cells of all events so far."""
        return count(np.concatenate(self._pins), np.concatenate(self._minutes))
