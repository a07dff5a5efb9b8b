"""What a day is planned with, and what the other benchmarks measured of it (see day.py)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.capacity import Measured, nearest, of_rate
from bench.figures import Kept
from bench.flushes import ROWS, Way
from bench.scale import grown
from bench.steady import HIGHER, RATES

HOURS, PEAK_HOUR = 24, 20
NEEDED = ("steady", "rows", "scale", "flushes", "aggregates")
SEALED = "with surface, platform and trusted counts: an event, CPU of ClickHouse while it is sealed"


@dataclass(frozen=True, slots=True)
class Plan:
    """The day, and what there is to carry it."""

    rate: float  # events a second, over the day
    peak: float  # times that, at its highest
    workers: int
    shards: int
    partitions: int  # of all topics
    flush_seconds: float  # between flushes
    server_cores: float  # of a server of ClickHouse
    used: float  # share of a core that a worker is to use, and of a server's
    keeper_writes: float  # of an insert into a replicated table

    def demand(self, minute: int) -> float:
        """Events a second at this minute of the day."""
        turn = math.cos(2 * math.pi * (minute / 60 - PEAK_HOUR) / HOURS)
        return self.rate * (1 + (self.peak - 1) * turn)


@dataclass(frozen=True, slots=True)
class Costs:
    """What was measured."""

    rates: Sequence[Measured]  # ascending
    more_of_shards: float  # CPU of a worker an event with these shards, over one
    flush_seconds: float  # of a flush without rows
    row_seconds: float  # of each row more
    sealed_us: float  # CPU of ClickHouse an event for what is sealed

    def at(self, rate: float) -> Measured:
        """An event, where a worker counts so many a second."""
        return nearest(list(self.rates), int(rate))

    def worker_us(self, rate: float) -> float:
        """CPU of a worker, an event."""
        return self.at(rate).worker_us * self.more_of_shards

    def clickhouse_us(self, rate: float) -> float:
        """CPU of all servers of ClickHouse, an event: to insert it, to merge it, and to seal its hours."""
        return (self.at(rate).clickhouse_us or 0.0) + self.sealed_us


def costs_of(results: Path, shards: int) -> Costs:
    """Read what was measured for so many shards. Raises typer.BadParameter, or KeyError naming the missing figure."""
    found = {name: Kept.read(results, name) for name in NEEDED}
    rates = [
        of_rate(found["steady"], found["rows"], rate) for rate in (*RATES, *HIGHER) if known(found["steady"], rate)
    ]
    more = found["scale"].value(f"{grown(1, shards)}: CPU of workers an event, over one of each")
    small, large = (
        found["flushes"].value(f"{Way(shards, together=True).name}, {rows:,} rows: p50") / 1000 for rows in ROWS
    )
    row_seconds = max(0.0, large - small) / (ROWS[1] - ROWS[0])
    return Costs(rates, more, small - ROWS[0] * row_seconds, row_seconds, found["aggregates"].value(SEALED))


def known(steady: Kept, rate: int) -> bool:
    """Whether this rate was measured."""
    return steady.find(f"at {rate:,} events/s: worker, an event") is not None
