"""The CPU of `pintally verify` a record, by shape of the traffic: two sizes of log, and the difference.

    python -m bench.verify                     # shapes own, extra and arms, 1,000,000 events, 5 rounds
    python -m bench.verify --shapes own,small-batches
    python -m bench.verify --against ../other  # the same by the code of another tree, in turns
    python -m bench.verify --quick

A worker counts a log of 100,000 events, and another one with those and 1,000,000 more; the log has the flaws of
work.py on top. Then `pintally verify` recounts each as a command of its own, in one process, and must find it exact.
Its CPU time (user + system) is taken whole: the difference, divided by the records, is what one more record costs; what
the small log leaves is the fixed cost: start, imports, questions to Kafka and ClickHouse. The CPU of Kafka and
ClickHouse is not in it.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from bench.counting import Counting, counting_on
from bench.drain import PeerFailed
from bench.engines import Engines, open_engines, say
from bench.figures import RESULTS, Kept, kept
from bench.marginal import QUICK_FEW, QUICK_MORE, Sized, fill
from bench.options import HELP, checked
from bench.shapes import Shape, named
from pintally.streams.settings import Settings

FEW, MORE = 100_000, 1_000_000
BY_DEFAULT = "own,extra,arms"
OURS = Path(__file__).resolve().parent.parent
ASKED_US, ASKED_OF = 4.0, ("own", "sorted", "shuffled", "spaced", "extra", "arms")


def bench_verify(
    events: Annotated[int, typer.Option(min=100_000, help="Events between the two sizes of a log.")] = MORE,
    rounds: Annotated[int, typer.Option(min=1, help="Of each shape; the median counts.")] = 5,
    shapes: Annotated[str, typer.Option(help=HELP, callback=checked, show_default=BY_DEFAULT)] = "",
    against: Annotated[Path | None, typer.Option(help="Another tree, whose verify is measured too.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A fifth of the log, one round.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for verify.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON too.")] = False,
) -> None:
    """Measure, print."""
    few, more, rounds = (QUICK_FEW, QUICK_MORE, 1) if quick else (FEW, events, rounds)
    parameters = {"rounds": rounds, "events of the small log": few, "events of the large log": few + more}
    trees = [OURS] if against is None else [OURS, against.resolve()]
    with (
        open_engines() as engines,
        tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder,
        kept("verify", engines.settings, into, as_json, parameters) as found,
    ):
        for shape in named(shapes or BY_DEFAULT):
            measure(engines, Path(folder), shape, few, few + more, rounds, trees, found)


def measure(
    engines: Engines, folder: Path, shape: Shape, few: int, many: int, rounds: int, trees: Sequence[Path], found: Kept
) -> None:
    """The figures of one shape; those of another tree have its name."""
    with ExitStack() as stack:
        logs = fill(engines, folder, shape, few, many, stack)
        counted = [(stack.enter_context(counting_on(engines, folder, log.settings)), log) for log in logs]
        for own, log in counted:
            count(own, log)
        for tree in trees:
            used = [[verified(tree, own.settings, log.records) for own, log in counted] for _ in range(rounds)]
            keep(found, shape.name if tree == OURS else f"{shape.name} ({tree.name})", logs, used)


def count(own: Counting, log: Sized) -> None:
    """Let a worker count the log, and end it."""
    worker = own.start()
    own.wait_landed(log.records, worker)
    own.check_exact(log.events)
    worker.stop()


def verified(tree: Path, settings: Settings, records: int) -> float:
    """CPU seconds of one `verify` by the code of a tree. Raises PeerFailed unless it finds every record exact."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pintally.cli", "verify", "--processes", "1", "--json"]
    done = subprocess.run(command, env=settings.environment(), cwd=tree, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or (found := json.loads(done.stdout))["records"] != records:
        raise PeerFailed(f"verify ended with {done.returncode}: {done.stderr[-2000:]}{done.stdout[-2000:]}")
    say(f"  {tree.name}: {found['records']:,} records in {found['seconds']} s")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def keep(found: Kept, name: str, logs: tuple[Sized, Sized], used: Sequence[Sequence[float]]) -> None:
    """The cost of one more record, the fixed cost, and that of a record of the large log with all in it."""
    more = logs[1].records - logs[0].records
    marginal = [(large - small) / more for small, large in used]
    target = {"at_most": ASKED_US} if name in ASKED_OF else {}
    found.add(f"{name}: one more record", median(marginal) * 1e6, "us", **target)
    fixed = [small - each * logs[0].records for (small, _), each in zip(used, marginal, strict=True)]
    found.add(f"{name}: fixed cost of a run", median(fixed), "s")
    found.add(f"{name}: a record, all in", median(large for _, large in used) / logs[1].records * 1e6, "us")
    found.samples[f"{name}: us a record"] = [round(each * 1e6, 3) for each in marginal]


if __name__ == "__main__":
    typer.run(bench_verify)
