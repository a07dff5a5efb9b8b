"""How long questions to ClickHouse take: wall time, CPU of ClickHouse and rows read, over many runs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.figures import Kept, percentile
from bench.measured import cpu_seconds
from pintally.sinks.clickhouse.connection import Connection

WARM_UP = 3  # runs that are not timed
MACHINE = "a fixed sum of hashes (how fast the machine is), CPU of ClickHouse"
HASHES = "SELECT sum(cityHash64(number)) FROM numbers(100000000)"
ROWS_READ = "SELECT sum(value) FROM system.events WHERE event = 'SelectedRows'"


@dataclass(frozen=True, slots=True)
class Reader:
    """A connection, and the process that answers, where it is ours to look at."""

    connection: Connection
    pid: int | None

    def cpu_seconds(self) -> float:
        """CPU that ClickHouse has used so far; 0 if it cannot be told."""
        return 0.0 if self.pid is None else cpu_seconds([self.pid])

    def rows_read(self) -> int:
        """Rows that ClickHouse has read so far, for all queries together."""
        return int(self.connection.one(ROWS_READ)[0])


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many milliseconds, at least so many answers; None: no target."""

    cpu_ms: float | None = None
    p95_ms: float | None = None
    per_cpu_second: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What some runs of one question cost."""

    took_ms: list[float]
    cpu_ms: float  # of ClickHouse, all runs together
    rows_read: int  # all runs together


@dataclass(frozen=True, slots=True)
class Question:
    """One question, and the runs that ask it."""

    name: str
    runs: Sequence[Callable[[], object]]
    limits: Limits
    check: Callable[[], int]  # compares answers with the truth; returns how many. Raises if one is wrong
    warm_up: int = WARM_UP
    pins: Callable[[], int] | None = None  # how many one run answers for, where CPU a pin is what counts


def timed(reader: Reader, runs: Sequence[Callable[[], object]], warm_up: int = WARM_UP) -> Asked:
    """Make each run once, the first ones before that for nothing."""
    for run in runs[:warm_up]:
        run()
    took, rows, cpu = [], reader.rows_read(), reader.cpu_seconds()
    for run in runs:
        began = time.perf_counter()
        run()
        took.append((time.perf_counter() - began) * 1000)
    cpu = reader.cpu_seconds() - cpu
    return Asked(took, cpu * 1000, reader.rows_read() - rows)


def keep(found: Kept, name: str, asked: Asked, limits: Limits, known_cpu: bool, pins: int | None = None) -> None:
    """The figures of one question; `pins`: how many one run answered for."""
    runs = len(asked.took_ms)
    found.add(f"{name}, p50", percentile(asked.took_ms, 0.5), "ms")
    found.add(f"{name}, p95", percentile(asked.took_ms, 0.95), "ms", **target(at_most=limits.p95_ms))
    if known_cpu:
        found.add(f"{name}, CPU of ClickHouse", asked.cpu_ms / runs, "ms", **target(at_most=limits.cpu_ms))
    if known_cpu and pins:
        rate = pins * runs / asked.cpu_ms * 1000
        found.add(f"{name}: pins a CPU-second", rate, "pins", **target(at_least=limits.per_cpu_second))
    found.add(f"{name}, rows read", asked.rows_read / runs, "rows")
    found.samples[name] = [round(each, 2) for each in asked.took_ms]


def keep_machine(found: Kept, reader: Reader, runs: int) -> None:
    """What the same work costs on this machine today. Figures of two days compare only beside it."""
    asked = timed(reader, [lambda: reader.connection.one(HASHES)] * runs)
    found.add(MACHINE, asked.cpu_ms / runs, "ms")


def target(**limits: float | None) -> dict[str, float]:
    """The target of a figure, for Kept.add."""
    return {name: limit for name, limit in limits.items() if limit is not None}
