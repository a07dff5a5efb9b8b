"""What an event costs in a worker, stage by stage, in microseconds of CPU.

    python -m bench.profile                     # the stages behind the fetch, in process; no engine runs
    python -m bench.profile --shapes own,arms   # of these shapes of traffic; without it of each
    python -m bench.profile --worker            # and a whole worker on real engines
    python -m bench.profile --against ../other  # this tree beside another one: did a change help?
    python -m bench.profile --worker --against .,MALLOC_ARENA_MAX=1

The log is that of work.py: JSON events on Zipf-like pins, 1% duplicates, 0.2% late, some broken, in batches of 1,000
records as the broker stores them (smaller ones if the shape has them). The worker's own code unpacks and folds it in a
process of its own, whose CPU time (user + system) is taken by function. Shown is the median of the rounds, and the
lowest and the highest. Of a whole worker, what no stage took is shown as `receive, event loop, Faust`; without --shapes
it gets `own` and `arms` only, because a log of 4,000,000 events of each shape takes long to fill.

Two trees, or two environments, take turns round by round, each in its own process: other work on the machine hits both
alike. Compared are neighbouring rounds; a change is named only where four of five pairs agree.
"""

import argparse
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from bench.fetches import Fetch, make_fetches
from bench.options import ALL, HELP
from bench.shapes import UnknownShape, named
from bench.whole_worker import Tree, measure_workers

IN_PROCESS = "unpack and fold, us of CPU an event"
WHOLE_WORKER = "a whole worker, us of CPU an event"
SAME_RUNS = "the same runs"
OTHERS = ("events per CPU-s", "peak MiB", "rows an event", "page faults an event", "load")  # figures of these
WORKER_SHAPES = "own,arms"
AGREE = 0.8  # share of the pairs
Figures = Mapping[str, float]  # stage -> us an event


class Folding:
    """A process that folds the log with the code of one tree."""

    def __init__(self, tree: Tree, log: Path) -> None:
        script = str(Path(__file__).with_name("stages.py"))
        self._process = subprocess.Popen(
            [sys.executable, script, str(log)],
            env=os.environ | {"PYTHONPATH": str(tree.path)} | tree.variables,
            cwd=tree.path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._to, self._from = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)

    def round(self) -> Figures:
        """The log once more, from an empty state."""
        self._to.write("round\n")
        self._to.flush()
        return cast(Figures, json.loads(self._from.readline()))

    def close(self) -> None:
        self._to.close()
        self._process.wait()
        self._from.close()


def fold_log(trees: Sequence[Tree], fetches: Sequence[Fetch], rounds: int) -> list[list[Figures]]:
    """The rounds of each tree on these fetches."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        log.write_bytes(pickle.dumps(fetches))
        return fold_in_turns(trees, log, rounds)


def fold_in_turns(trees: Sequence[Tree], log: Path, rounds: int) -> list[list[Figures]]:
    """The rounds of each tree; one more that warms up is left out."""
    found: list[list[Figures]] = [[] for _ in trees]
    foldings = [Folding(tree, log) for tree in trees]
    try:
        for number in range(rounds + 1):
            for index in range(len(trees)) if number % 2 else reversed(range(len(trees))):
                figures = foldings[index].round()
                if number:
                    found[index].append(figures)
    finally:
        for folding in foldings:
            folding.close()
    return found


def summary(rounds: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """Stage -> median, lowest and highest."""
    columns = {stage: [figures.get(stage, 0.0) for figures in rounds] for stage in rounds[0]}
    return {
        stage: {"median": statistics.median(column), "lowest": min(column), "highest": max(column)}
        for stage, column in columns.items()
    }


def compared(ours: Sequence[Figures], theirs: Sequence[Figures]) -> dict[str, dict[str, Any]]:
    """Stage -> ours / theirs in neighbouring rounds, and what that says."""
    found = {}
    for stage in ours[0]:
        ratios = [a[stage] / b[stage] for a, b in zip(ours, theirs, strict=True) if b.get(stage)]
        if ratios:
            lower, higher = (sum(test) / len(ratios) for test in ([r < 1 for r in ratios], [r > 1 for r in ratios]))
            verdict = "less" if lower >= AGREE else "more" if higher >= AGREE else "no difference seen"
            ratio = {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
            found[stage] = {**ratio, "verdict": verdict}
    return found


def part(found: Sequence[Sequence[Figures]]) -> dict[str, Any]:
    """This tree's figures, and how they compare with the other one's."""
    stages: dict[str, dict[str, Any]] = summary(found[0])
    if len(found) > 1:
        for stage, comparison in compared(found[0], found[1]).items():
            stages[stage]["against"] = comparison
    return stages


def table(report: Mapping[str, Any]) -> str:
    """The report for people."""
    lines = []
    for title, shapes in report["parts"].items():
        for shape, stages in shapes.items():
            lines += [f"{title}, shape {shape}", f"  {'':<30} median   lowest-highest"]
            lines += [*(line(stage, figures) for stage, figures in stages.items()), ""]
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in report["about"].items())])


def line(stage: str, figures: Mapping[str, Any]) -> str:
    """One stage."""
    shown = f"  {stage:<30}{figures['median']:7.3f}   {figures['lowest']:.3f}-{figures['highest']:.3f}"
    if not (pair := figures.get("against")):
        return shown
    spread = f"{pair['lowest']:.2f}-{pair['highest']:.2f}"
    return f"{shown}   {pair['ratio']:.2f} of the other ({spread}): {pair['verdict']}"


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__.partition("\n")[0])
    options.add_argument("--shapes", help=f"{HELP} Default: all")
    options.add_argument("--events", type=int, default=500_000)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--batch", type=int, default=1_000, help="records of a producer's batch")
    options.add_argument(
        "--fetch", type=int, default=2 << 20, help="bytes of a fetch of one partition, which is a chunk"
    )
    options.add_argument("--against", type=Tree.of, help="PATH[,NAME=VALUE...]: another tree, or other variables")
    options.add_argument("--worker", action="store_true", help="a whole worker too, on real engines")
    options.add_argument("--worker-events", type=int, default=4_000_000)
    options.add_argument("--worker-runs", type=int, default=3)
    options.add_argument("--json", action="store_true")
    return options


def main() -> None:
    args = parser().parse_args()
    try:
        shapes, worker_shapes = named(args.shapes or ALL), named(args.shapes or WORKER_SHAPES)
    except UnknownShape as unknown:
        parser().error(f"argument --shapes: {unknown}")
    trees = [Tree(Path(__file__).resolve().parent.parent, {}), *([args.against] if args.against else [])]
    about: dict[str, Any] = {
        "rounds": args.rounds,
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} when it began",
    }
    parts: dict[str, dict[str, Any]] = {IN_PROCESS: {}}
    for shape in shapes:
        fetches = make_fetches(args.events, args.batch, args.fetch, shape)
        about[f"log of {shape.name}"] = described(fetches)
        parts[IN_PROCESS][shape.name] = part(fold_log(trees, fetches, args.rounds))
    for shape in worker_shapes if args.worker else []:
        workers = measure_workers(trees, args.worker_events, args.worker_runs, shape)
        micros = [[run["micros"] for run in runs] for runs in workers]
        others = [[{name: run[name] for name in OTHERS} for run in runs] for runs in workers]
        parts.setdefault(WHOLE_WORKER, {})[shape.name] = part(micros)
        parts.setdefault(SAME_RUNS, {})[shape.name] = part(others)
    report = {"parts": parts, "about": about}
    print(json.dumps(report) if args.json else table(report))


def described(fetches: Sequence[Fetch]) -> str:
    """The size of a log."""
    records, size = sum(fetch[3] for fetch in fetches), sum(len(fetch[2]) for fetch in fetches)
    return f"{records:,} records of {size / records:.0f} bytes, {records / len(fetches):,.0f} a chunk"


if __name__ == "__main__":
    main()
