"""What must be counted of the records sent: how many met each outcome, and the count of every cell."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.schemas.outcomes import Outcome
from pintally.schemas.rules import MINUTE_MS
from pintally.tools.emulate.pins import Pins
from pintally.tools.emulate.traffic import Slab

MOST_PINS = 1 << 28
Cell = tuple[Action, int, int]  # action, start of the minute in seconds since 1970, pin id


class Truth:
    """Grows with every slab that Kafka has acknowledged."""

    def __init__(self, pins: Pins, topics: Mapping[Action, str], partitions: Mapping[Action, int]) -> None:
        self._pins = pins
        self._topics = topics
        self._partitions = partitions
        self.outcomes: Counter[tuple[str, int, Outcome]] = Counter()  # (topic, partition, outcome) -> records
        self._keys: list[NDArray[np.int64]] = []
        self._counts: list[NDArray[np.int64]] = []

    def add(self, slab: Slab) -> None:
        """Take in records that were sent."""
        for action, topic in self._topics.items():
            of_topic = slab.action == action
            partition = self._pins.partitions(slab.pin[of_topic], self._partitions[action])
            pairs, counts = np.unique(partition * 8 + slab.outcome[of_topic], return_counts=True)
            for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
                self.outcomes[topic, pair // 8, Outcome(pair % 8)] += count
        counted = slab.outcome == Outcome.COUNTED
        minute = slab.occurred[counted] // MINUTE_MS
        # A cell in 63 bits: minutes since 1970 and before 2106 fit in 27, pins in 28, actions in 8.
        keys, counts = np.unique(
            (minute << 36) | (slab.pin[counted] << 8) | slab.action[counted].astype(np.int64), return_counts=True
        )
        self._keys.append(keys)
        self._counts.append(counts.astype(np.int64))
        if len(self._keys) > 256:
            self._merge()

    def totals(self) -> dict[Outcome, int]:
        """Records by outcome, all four."""
        return {outcome: sum(n for (_, _, each), n in self.outcomes.items() if each is outcome) for outcome in Outcome}

    @property
    def records(self) -> int:
        """Records taken in."""
        return self.outcomes.total()

    def cells(self) -> dict[Cell, int]:
        """The count of each (action, minute, pin), over all partitions and slices."""
        self._merge()
        ids = self._pins.ids.tolist()
        return {
            (Action(key & 0xFF), (key >> 36) * 60, ids[(key >> 8) & 0xFFFFFFF]): count
            for keys, counts in zip(self._keys, self._counts, strict=True)
            for key, count in zip(keys.tolist(), counts.tolist(), strict=True)
        }

    def lines(self) -> Iterator[str]:
        """JSON Lines: one line an outcome of a partition, then one a cell."""
        for (topic, partition, outcome), records in sorted(self.outcomes.items()):
            yield json.dumps(
                {"topic": topic, "partition": partition, "outcome": outcome.name.lower(), "records": records}
            )
        for (action, minute, pin), count in sorted(self.cells().items()):
            yield json.dumps({"action": action.label, "minute": minute, "pin_id": str(pin), "count": count})

    def write(self, path: Path) -> None:
        """Write `lines` to a file."""
        with path.open("w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in self.lines())

    def _merge(self) -> None:
        if len(self._keys) > 1:
            keys, inverse = np.unique(np.concatenate(self._keys), return_inverse=True)
            counts = np.zeros(len(keys), np.int64)
            np.add.at(counts, inverse, np.concatenate(self._counts))
            self._keys, self._counts = [keys], [counts]
