"""What must be on each of several servers that share the pins (C33, C34)."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from pintally.schemas.rows import StartRow
from pintally.schemas.rules import Rules
from pintally.schemas.shards import Place, shard_of
from tests.simulation.logs import SimLog
from tests.simulation.truth import TABLES, Key, Truth


class ShardTruth(Truth):
    """The cells of the pins of one server, its ledger, which is that of all, and on shard 0 the dead letters."""

    def __init__(self, logs: Sequence[SimLog], rules: Rules, place: Place) -> None:
        self.place = place
        super().__init__(logs, rules)

    @property
    def has_letters(self) -> bool:
        return self.place.number == 0

    def is_here(self, cell: Key) -> bool:
        names = TABLES[cell[3]].key
        number = home(cell[4 + names.index("pin_id")], self.place.shards) if "pin_id" in names else 0
        return number == self.place.number


@lru_cache
def home(pin_id: int, shards: int) -> int:
    """The number of the shard of a pin."""
    return int(shard_of(np.array([pin_id], np.uint64), shards)[0])


class Truths:
    """The truth of every server. What was acknowledged by Kafka, and where logs begin, is the same for all."""

    def __init__(self, each: Sequence[Truth]) -> None:
        self.each = each
        self.buried, self.log_starts = each[0].buried, each[0].log_starts
        for truth in each[1:]:
            truth.buried, truth.log_starts = self.buried, self.log_starts

    @property
    def is_damaged(self) -> bool:
        """Whether rows of some server were ruined, and not repaired."""
        return any(truth.is_damaged for truth in self.each)

    @is_damaged.setter
    def is_damaged(self, is_damaged: bool) -> None:
        for truth in self.each:
            truth.is_damaged = is_damaged

    @property
    def newest_starts(self) -> list[StartRow]:
        """Of each source on each server the start row of the rules in force."""
        return [epochs[-1] for truth in self.each for epochs in truth.epochs.values()]
