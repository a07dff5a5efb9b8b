"""A log whose cells reach ClickHouse as they do in a bad night: the world of test_parity.py.

Each source is folded by the counting rules with numpy, and its cells are written tick by tick as absolute counts, with
lag, an outage, slices written again after crashes, zombies that write old versions up to an hour later, and a replay
topic in which nothing is late. The product writes the cells, and seals; sealers die between two statements.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.label_column import UNKNOWN
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from tests.sinks.sealing import TODAY, before_each_statement, write
from tests.support.cells import cells
from tests.support.true_features import DAY, HOUR, TEN, Event

START = TODAY - DAY - 2 * HOUR  # 22:00, so that a day begins in between
END = START + 4 * HOUR
PINS, TICK, LATENESS, BLOCK = 500, 200, HOUR, 2000
IDLE_MARGIN = 300
EPOCH = 1 << 48
Cell = tuple[int, int, int, int]  # slice_block, arrived_at, minute, pin
DOUBTED = 5  # one record of so many is not trusted

Ints = NDArray[np.int64]


class SealerDied(Exception):
    """A process that ended between two statements."""


@dataclass
class Source:
    """One partition: what is in its log, and what was written of it."""

    number: int
    action: int
    stamps: Ints  # Kafka timestamps, in seconds
    happened: Ints
    pins: Ints
    is_replay: bool = False
    lag: int = 5
    away: tuple[int, int] = (0, 0)  # nobody reads it from then until then
    position: int = 0
    written: dict[Cell, tuple[int, int]] = field(default_factory=dict)  # events, those of them that are trusted

    def __post_init__(self) -> None:
        self.stream_time = np.maximum.accumulate(self.stamps)
        self.arrived = self.stream_time // TEN * TEN
        self.minute = self.happened // 60 * 60
        late = np.zeros(len(self.stamps), bool) if self.is_replay else self.minute + 60 + LATENESS <= self.stream_time
        self.counted = ~late

    def cell(self, record: int) -> Cell:
        return record // BLOCK, int(self.arrived[record]), int(self.minute[record]), int(self.pins[record])

    def fold(self, wall: int) -> set[Cell]:
        """Counts what can be read by then; returns the cells that changed."""
        if self.away[0] <= wall < self.away[1]:
            return set()
        end = int(np.searchsorted(self.stamps, wall - self.lag, "right"))
        changed = set()
        for record in range(self.position, end):
            if self.counted[record]:
                cell = self.cell(record)
                events, trusted = self.written.get(cell, (0, 0))
                self.written[cell] = events + 1, trusted + (record % DOUBTED != 0)
                changed.add(cell)
        self.position = max(self.position, end)
        return changed

    def last_slice(self) -> set[Cell]:
        last = max((cell[:2] for cell in self.written), default=None)
        return {cell for cell in self.written if cell[:2] == last}

    def passed(self, wall: int) -> int:
        """Stream time as sealing counts it: an idle source that is read to its end follows the clock."""
        reached = int(self.stream_time[self.position - 1]) if self.position else 0
        if self.position == len(self.stamps) or self.stamps[self.position] > wall:
            return max(reached, wall - IDLE_MARGIN)
        return reached or START

    def events(self) -> Iterator[Event]:
        """What the log says, for the recount."""
        for record in np.flatnonzero(self.counted).tolist():
            cell = self.cell(record)
            yield Event(cell[1], cell[2], cell[3], self.action, untrusted=int(record % DOUBTED == 0))


def sources(chance: Generator) -> list[Source]:
    made = [
        make_source(chance, 1 + number, 1 + number % 3, records)
        for number, records in enumerate((3000, 5000, 8000) * 2)
    ]
    made[3].away = (START + HOUR, START + HOUR + 1500)
    idle = make_source(chance, 8, 3, 200)
    idle.stamps[:] = np.minimum(idle.stamps, START + HOUR)
    idle.__post_init__()
    return [*made, idle, make_source(chance, 9, 1, 800, is_replay=True)]


def make_source(
    chance: Generator, number: int, action: int, records: int, *, is_replay: bool = False, in_each_bucket: bool = False
) -> Source:
    """A log of some hours. `in_each_bucket`: a record at the start of each, so that the source holds no cut back."""
    stamps = np.sort(chance.integers(START + (2 * HOUR if is_replay else 0), END, records))
    stamps += chance.integers(-3, 3, records)
    if in_each_bucket:
        stamps = np.sort(np.concatenate([stamps, np.arange(START, END, TEN)]), kind="stable")
        records = len(stamps)
    delays = chance.exponential(120, records)
    late = chance.random(records) < 0.04
    delays[late] = chance.exponential(2500, int(late.sum()))
    ahead = chance.random(records) < 0.01
    delays[ahead] = -chance.integers(0, 300, int(ahead.sum()))
    if is_replay:
        delays = chance.integers(HOUR, 30 * HOUR, records).astype(np.float64)
    pins = np.minimum(PINS, np.exp(chance.random(records) * np.log(PINS)).astype(np.int64))
    return Source(
        number, action, stamps, (stamps - delays).astype(np.int64), pins, is_replay, int(chance.integers(1, 20))
    )


class Night:
    """Runs all sources; `tick` returns whether cuts may have been published."""

    def __init__(self, address: ClickHouseAddress, chance: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.address, self.chance, self.monkeypatch = address, chance, monkeypatch
        self.sources = sources(chance)
        self.zombies: list[tuple[int, PinMinuteRows]] = []
        self.deaths = self.zombies_seen = self.newest = 0

    def tick(self, wall: int) -> bool:
        rows = [row for source in self.sources for row in self._rows(source, wall)]
        if rows:
            write(self.address, cells(*rows))
        for due, old in [each for each in self.zombies if each[0] <= wall]:
            write(self.address, old)
            self.zombies_seen += 1
            self.zombies.remove((due, old))
        return self._seal(min(source.passed(wall) for source in self.sources))

    def _rows(self, source: Source, wall: int) -> list[tuple[int | str, ...]]:
        """The cells that changed, as one flush writes them."""
        changed = source.fold(wall)
        if self.chance.random() < 0.05:  # a worker crashed: the next one writes the whole slice again
            changed |= source.last_slice()
        version = EPOCH + source.position
        rows: list[tuple[int | str, ...]] = [
            (
                source.number,
                block,
                arrived,
                source.action,
                minute,
                pin,
                source.written[block, arrived, minute, pin][0],
                version,
                UNKNOWN,
                UNKNOWN,
                source.written[block, arrived, minute, pin][1],
            )
            for block, arrived, minute, pin in sorted(changed)
        ]
        if rows and self.chance.random() < 0.02:
            self.zombies.append((wall + int(self.chance.integers(60, HOUR)), cells(*rows)))
        return rows

    def _seal(self, passed: int) -> bool:
        closed = passed // TEN * TEN
        if closed <= self.newest:
            return False
        if self.chance.random() < 0.3:
            self._die(closed)
        more = True
        while more:
            result = seal_cuts(self.address, closed, LATENESS)
            more = result.more
        self.newest = result.newest
        return True

    def _die(self, closed: int) -> None:
        left = int(self.chance.integers(5, 60))

        def count(_: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise SealerDied

        try:
            with before_each_statement(self.monkeypatch, count):
                seal_cuts(self.address, closed, LATENESS)
        except SealerDied:
            self.deaths += 1
