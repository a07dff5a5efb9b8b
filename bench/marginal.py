"""The marginal CPU of a whole worker an event, by shape of the traffic: two sizes of log, and the difference.

    python -m bench.marginal                    # every shape, 1,000,000 events between the two sizes, 5 rounds
    python -m bench.marginal --shapes own,arms
    python -m bench.marginal --quick

A worker as it ships catches up with a log of 250,000 events, and another one with those and 1,000,000 more; the log has
the flaws of work.py on top. The CPU of each process, from its start to its last count in ClickHouse, is taken whole; in
the difference start, compiled code and the fixed cost of a flush cancel out. The logs of all shapes are filled first.
Then the shapes take turns, round by round, so that other work on the machine hits all alike; the median of the rounds
counts. After each run every event must have been counted exactly once.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from bench.counting import counting_on
from bench.engines import Engines, open_engines, say
from bench.fetches import START_MS
from bench.figures import RESULTS, Kept, kept
from bench.ground import Ground
from bench.log import anchored
from bench.measured import cpu_seconds
from bench.options import ALL, HELP, checked
from bench.pintally import topics
from bench.report import table
from bench.shapes import Shape, named
from bench.work import SLAB, Work
from pintally.streams.kafka.topics import describe_topics, read_offsets, sources_of
from pintally.streams.settings import Settings

FEW = 250_000
QUICK_FEW, QUICK_MORE = 20_000, 200_000
TARGETS_US = {
    "own": 1.0, "sorted": 1.1, "shuffled": 1.1, "spaced": 1.1, "extra": 1.25, "arms": 1.3, "small-batches": 2.0
}  # fmt: skip
COLUMNS: Mapping[str, tuple[str, ...]] = {  # of the table: several shapes are shown as the slowest of them
    "own order": ("own",),
    "sorted, shuffled, spaced": ("sorted", "shuffled", "spaced"),
    "extra": ("extra",),
    "six arms": ("arms",),
    "batches of 5 records": ("small-batches",),
    "values of 1 KB": ("large",),
}


@dataclass(frozen=True, slots=True)
class Sized:
    """A log of one size in topics of its own."""

    settings: Settings
    events: int  # that must be counted
    records: int


def marginal(
    events: Annotated[int, typer.Option(min=100_000, help="Events between the two sizes of a log.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="Of each shape; the median counts.")] = 5,
    shapes: Annotated[str, typer.Option(help=HELP, callback=checked, show_default="all")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="A fifth of the log, one round.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for marginal.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the tables.")] = False,
) -> None:
    """Measure, print."""
    few, more, rounds = (QUICK_FEW, QUICK_MORE, 1) if quick else (FEW, events, rounds)
    parameters = {"rounds": rounds, "events of the small log": few, "events of the large log": few + more}
    with open_engines() as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        with kept("marginal", engines.settings, into, as_json, parameters) as found:
            measure(engines, Path(folder), named(shapes or ALL), few, few + more, rounds, found)
        if not as_json:
            typer.echo(columns(found))


def measure(
    engines: Engines, folder: Path, shapes: Sequence[Shape], few: int, many: int, rounds: int, found: Kept
) -> None:
    """Figures and samples of each shape, in microseconds an event."""
    micros: dict[str, list[float]] = {shape.name: [] for shape in shapes}
    with ExitStack() as stack:
        logs = {shape.name: fill(engines, folder, shape, few, many, stack) for shape in shapes}
        catch_up(engines, folder, next(iter(logs.values()))[0])  # compiles the loops where nobody has
        for number in range(1, rounds + 1):
            for name, (small, large) in logs.items():
                used = [catch_up(engines, folder, sized) for sized in (small, large)]
                micros[name].append((used[1] - used[0]) / (large.records - small.records) * 1e6)
                say(f"  round {number}, {name}: {micros[name][-1]:.3f} us an event")
    for shape in shapes:
        found.add(f"{shape.name}: a value", value_bytes(shape), "bytes")
    for name, samples in micros.items():
        target = {"at_most": TARGETS_US[name]} if name in TARGETS_US else {}
        found.add(figure(name), median(samples), "us", **target)
    found.samples.update(micros)


def figure(shape: str) -> str:
    """The name of the figure of a shape."""
    return f"{shape}: one more event"


def value_bytes(shape: Shape) -> float:
    """Bytes of a value, on average."""
    values = next(Work(SLAB, START_MS, shape=shape).slabs()).values
    return sum(map(len, values)) / len(values)


def fill(engines: Engines, folder: Path, shape: Shape, few: int, many: int, stack: ExitStack) -> tuple[Sized, Sized]:
    """The small log and the large one, whose topics are deleted with `stack`."""
    say(f"filling the logs of {shape.name} ...")
    work = anchored(many, shape)
    return sized(engines, folder, replace(work, events=few), stack), sized(engines, folder, work, stack)


def sized(engines: Engines, folder: Path, work: Work, stack: ExitStack) -> Sized:
    """A log with all events of `work`."""
    ground = Ground(engines, folder, work)
    stack.callback(ground.close)
    settings = topics(ground, "LogAppendTime")
    ends = read_offsets(settings.kafka, sources_of(describe_topics(settings.kafka, settings.topics)))
    return Sized(settings, work.events, sum(each.log_end for each in ends.values()))


def catch_up(engines: Engines, folder: Path, log: Sized) -> float:
    """CPU seconds of a worker that counts a log, into new tables by a new group. Raises PeerFailed."""
    with counting_on(engines, folder, log.settings) as own:
        worker = own.start()
        own.wait_landed(log.records, worker)
        used = cpu_seconds([worker.process.pid])
        own.check_exact(log.events)
    return used


def columns(found: Kept) -> str:
    """The medians in one row beside what was asked; of several shapes in a column the slowest."""
    shown = {title: (names, values) for title, names in COLUMNS.items() if (values := measured(found, names))}
    rows = [
        ["asked, us an event", *(asked(names) for names, _ in shown.values())],
        ["measured", *(f"{max(values):.2f}" for _, values in shown.values())],
    ]
    return table(["", *shown], rows)


def measured(found: Kept, shapes: Sequence[str]) -> list[float]:
    """The medians of those that were measured."""
    return [value for shape in shapes if (value := found.find(figure(shape))) is not None]


def asked(shapes: Sequence[str]) -> str:
    """The target of a column; empty without one."""
    return f"{TARGETS_US[shapes[0]]:.2f}" if shapes[0] in TARGETS_US else ""


if __name__ == "__main__":
    typer.run(marginal)
