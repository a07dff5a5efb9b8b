"""Features of all pins, to a file: how bench/features.py asks for them, what that may cost, what their sums must equal.

The pins are asked for in 64 ranges of their ids, one after the other, all as of one moment: rows of a pin lie together,
so a range reads little more than its own rows, and ClickHouse groups few pins at once. Eight of the ranges are taken:
ids are hashes here, so that is an eighth of the pins.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from bench.asking import Limits, Question, Reader
from bench.clickhouse import Clickhouse
from bench.features_truth import WINDOWS, compare, totals
from bench.features_world import World
from pintally.sinks.clickhouse.per_action import COLUMNS

NAME = "features of all pins, to a file, an eighth of them"
LIMITS = Limits(per_cpu_second=300_000)
TAKEN = 8
WIDTH = 2**64 // 64
OF_RANGE = "FROM pin_features(as_of = toDateTime64({at}, 3, 'UTC')) WHERE pin_id >= {low} AND pin_id <= {high}"


@dataclass
class Export:
    """All pins that have features, as of the moment at which the world stands."""

    reader: Reader
    clickhouse: Clickhouse
    world: World
    pins: int = 0  # known once the sums were compared

    def question(self, times: int) -> Question:
        """The question, asked so many times."""
        return Question(NAME, [self.save] * times, LIMITS, self.check, 0, lambda: self.pins)

    def ranges(self) -> Iterator[str]:
        """Where each range begins and ends, and the moment."""
        for low in range(0, TAKEN * WIDTH, WIDTH):
            yield OF_RANGE.format(at=self.world.now, low=low, high=low + WIDTH - 1)

    def save(self) -> None:
        """Write them to files that are deleted at the end."""
        for some in self.ranges():
            with tempfile.TemporaryFile() as file:
                self.clickhouse.save(f"SELECT * {some} FORMAT Parquet", file)

    def check(self) -> int:
        """Compare the sums over all of them; returns how many."""
        names = [f"{column}_{window}" for window in WINDOWS for column in COLUMNS]
        sums = f"SELECT count(), {', '.join(f'sum({name})' for name in names)}"
        found = [self.reader.connection.one(f"{sums} {some}") for some in self.ranges()]
        self.pins, *together = (sum(column) for column in zip(*found, strict=True))
        compare(NAME, together, totals(self.reader.connection, self.world, self.world.cut, TAKEN * WIDTH))
        return len(together)
