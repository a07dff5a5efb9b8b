"""What each aggregate adds to an event: CPU of the worker, rows and bytes in ClickHouse, and CPU of sealing.

    python -m bench.aggregates                # 1,000,000 events between the two sizes of the log, 3 rounds
    python -m bench.aggregates --quick

A worker as it ships catches up with a log of 250,000 events and with one of those and more, as in marginal.py, once
with each of ARMS. So the CPU of one more event is that of counting, without start and compiling. Of the larger log all
is then sealed by the product's own functions: hours, their users, the cuts at which they become complete, and users of
arms of the day. Arms take turns, round by round; the median of the rounds counts. After each run every event must have
been counted exactly once.
"""

import secrets
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import typer

from bench.counting import Counting, counting_on
from bench.engines import Engines, open_engines, say
from bench.figures import RESULTS, Kept, kept
from bench.marginal import Sized, fill
from bench.measured import cpu_seconds
from bench.shapes import OWN, SHAPES, Shape
from pintally.schemas.cells import CELL_TABLES
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.scripts import tables
from pintally.sinks.clickhouse.sealing.arm_days import seal_arm_users
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.clickhouse.sealing.users import seal_users

HOUR: Final = 3600
DAY: Final = 24 * HOUR
LEAST_USERS: Final = 20  # of a group that is shown; the default of workers
FEW, QUICK_FEW, QUICK_MORE = 250_000, 20_000, 100_000
CELLS: Final = tuple(each.table for each in CELL_TABLES)
LEDGER: Final = ("ingest_ledger", "ingest_starts", "ingest_lost", "ingest_replaced", "dead_letters")
LAST: Final = "SELECT toUnixTimestamp(max(hour)) FROM pin_minutes"
BYTES: Final = (
    "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{database}' AND table IN {tables}"
)
MERGES: Final = "SELECT count() FROM system.merges"


@dataclass(frozen=True, slots=True)
class Arm:
    """One choice of aggregates, by the settings of a worker."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    shape: Shape = OWN  # of the log; what an arm adds is said beside the first one of its shape


NAMING: Final = SHAPES["arms"]
USERS: Final = {"count_users": True, "user_key": secrets.token_hex(16)}
PINS_ALONE: Final = {"breakdown": False, "trusted_cap": 0}
SIX: Final = "events with six arms, pins alone"
ONE: Final = "events with six arms, one experiment of them"
EVERY_ONE: Final = "events with six arms, all experiments"
ARMS: Final = (
    Arm("pins alone", PINS_ALONE),
    Arm("with surface and platform", {"breakdown": True, "trusted_cap": 0}),
    Arm("with trusted counts", {"breakdown": False, "trusted_cap": 5}),
    Arm("with surface, platform and trusted counts", {}),
    Arm("with these and users", USERS),
    Arm(SIX, PINS_ALONE, NAMING),
    Arm(f"{SIX}, and users", {**PINS_ALONE, **USERS}, NAMING),
    Arm(ONE, {**PINS_ALONE, "experiments": "exp_0"}, NAMING),
    Arm(f"{ONE}, and users", {**PINS_ALONE, "experiments": "exp_0", **USERS}, NAMING),
    Arm(EVERY_ONE, {**PINS_ALONE, "experiments": "*"}, NAMING),
    Arm(f"{EVERY_ONE}, and users", {**PINS_ALONE, "experiments": "*", **USERS}, NAMING),
)
# Members of arms are counted where users and experiments are: they add what both together add beyond each alone.
MEMBERS_OF_ARMS: Final = {
    "members of the arms of one experiment alone": ONE,
    "members of all six arms alone": EVERY_ONE,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run cost, an event. CPU in microseconds; of ClickHouse merges are included."""

    worker: float
    rows: float  # inserted: cells, ledger, dead letters
    bytes: float  # of cells, when they are merged
    counting: float  # CPU of ClickHouse
    sealing: float  # CPU of ClickHouse
    sealed_bytes: float


UNITS: Final = {
    "worker": ("one more event, CPU of the worker", "us"),
    "rows": ("rows inserted an event", "rows"),
    "bytes": ("bytes an event of cells, merged", "B"),
    "counting": ("an event, CPU of ClickHouse while it is counted", "us"),
    "sealing": ("an event, CPU of ClickHouse while it is sealed", "us"),
    "sealed_bytes": ("bytes an event of all that is sealed", "B"),
}


def aggregates(
    events: Annotated[int, typer.Option(min=100_000, help="Events between the two sizes of a log.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Of each arm; the median counts.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="A tenth of the log, one round.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for aggregates.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Measure, print."""
    few, more, rounds = (QUICK_FEW, QUICK_MORE, 1) if quick else (FEW, events, rounds)
    parameters = {"rounds": rounds, "events of the small log": few, "events of the large log": few + more}
    with (
        open_engines() as engines,
        tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder,
        ExitStack() as ends,
        kept("aggregates", engines.settings, into, as_json, parameters) as found,
    ):
        shapes = {arm.shape.name: arm.shape for arm in ARMS}
        logs = {name: fill(engines, Path(folder), shape, few, few + more, ends) for name, shape in shapes.items()}
        measure(engines, Path(folder), logs, rounds, found)


def measure(engines: Engines, folder: Path, logs: Mapping[str, tuple[Sized, Sized]], rounds: int, found: Kept) -> None:
    """Figures and samples of each arm."""
    samples: dict[str, list[dict[str, float]]] = defaultdict(list)
    for shape, arm in {arm.shape.name: arm for arm in ARMS}.items():  # the last of each, with the most that is counted
        count(engines, folder, logs[shape][0], arm)  # compiles the loops where nobody has
    for number in range(1, rounds + 1):
        for arm in ARMS:
            cost = measured(engines, folder, logs[arm.shape.name], arm)
            samples[arm.name].append(asdict(cost))
            say(f"  round {number}, {arm.name}: {cost}")
    for arm_name, costs in samples.items():
        for what, (words, unit) in UNITS.items():
            found.add(f"{arm_name}: {words}", median(each[what] for each in costs), unit)
    found.samples.update(samples)


def measured(engines: Engines, folder: Path, logs: tuple[Sized, Sized], arm: Arm) -> Cost:
    """The small log, then the large one, which is sealed. Raises PeerFailed."""
    few, many = logs
    small = count(engines, folder, few, arm)
    with counting_on(engines, folder, many.settings.changed(**arm.settings)) as own:
        rows, began = own.inserted(), clickhouse(engines)
        large = land(own, many)
        counted, inserted = clickhouse(engines) - began, own.inserted() - rows
        for table in CELLS:
            own.clickhouse.run(f"OPTIMIZE TABLE {table} FINAL")
        cells = size(own, CELLS)
        sealing = seal_all(engines, own)
        sealed = size(own, sorted({*tables()} - {*CELLS, *LEDGER}))
    records = many.records - few.records
    micros = 1e6 / many.events
    return Cost(
        (large - small) / records * 1e6, inserted / many.events, cells / many.events, counted * micros,
        sealing * micros, sealed / many.events,
    )  # fmt: skip


def count(engines: Engines, folder: Path, log: Sized, arm: Arm) -> float:
    """CPU seconds of a worker that counts a log, into new tables. Raises PeerFailed."""
    with counting_on(engines, folder, log.settings.changed(**arm.settings)) as own:
        return land(own, log)


def land(own: Counting, log: Sized) -> float:
    """The same into the tables of `own`; the worker has ended when it returns. Raises PeerFailed."""
    worker = own.start()
    own.wait_landed(log.records, worker)
    used = cpu_seconds([worker.process.pid])
    own.check_exact(log.events)
    worker.stop()
    return used


def seal_all(engines: Engines, own: Counting) -> float:
    """CPU seconds of ClickHouse until hours and their users are sealed and complete at a cut, and users of arms.

    These are sealed with the day. Its other hours have no events: to seal them is not counted.
    """
    address, end = own.settings.clickhouse, own.clickhouse.number(LAST) + HOUR
    hours = used(engines, own, lambda: seal_hours(address, end))
    seal(address, -(-end // DAY) * DAY)
    return hours + used(engines, own, lambda: seal_arm_users(address, LEAST_USERS))


def seal_hours(address: ClickHouseAddress, end: int) -> None:
    """Hours, their users, and the cuts at which they are complete."""
    seal(address, end)
    seal_users(address, LEAST_USERS)
    while seal_cuts(address, end + 2 * HOUR, HOUR).more:
        pass


def used(engines: Engines, own: Counting, act: Callable[[], object]) -> float:
    """CPU seconds of ClickHouse until it has done this, merges included."""
    settle(own)
    began = clickhouse(engines)
    act()
    settle(own)
    return clickhouse(engines) - began


def clickhouse(engines: Engines) -> float:
    """CPU seconds that ClickHouse has used so far; 0 where its process is not ours to look at."""
    return 0.0 if engines.clickhouse_pid is None else cpu_seconds([engines.clickhouse_pid])


def size(own: Counting, some: Sequence[str]) -> int:
    """Bytes of these tables."""
    return own.clickhouse.number(BYTES.format(database=own.settings.clickhouse.database, tables=tuple(some)))


def settle(own: Counting) -> None:
    """Wait until nothing is merged any more."""
    while own.clickhouse.number(MERGES):
        time.sleep(0.1)


if __name__ == "__main__":
    typer.run(aggregates)
