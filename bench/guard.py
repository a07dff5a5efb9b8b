"""Guards the hot path against growing slower: our rate beside the raw drain of the client, for each shape of traffic.

    python -m bench.guard                     # exits 1 if the ratio of a shape fell clearly below the kept one
    python -m bench.guard --shapes own,arms
    python -m bench.guard --keep              # measure, and keep the ratios of these shapes in results/guard.json

Times mean nothing on a machine with other work, and little on another machine. The ratio of `pintally worker` to
aiokafka's `getmany` on the same log, taken in turns, says how much of an event's cost is ours. Single pairs still
differ by a tenth, so the median of the pairs is compared, and it may fall by ROOM before the guard says anything: it is
for what makes the hot path slower by a third, not for percents. If nothing is kept of a shape, it exits 2. Run it by
hand or nightly; no test asserts it.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from bench.contestants import CONTESTANTS
from bench.drain import PeerFailed
from bench.engines import open_engines, say
from bench.ground import Ground
from bench.log import anchored
from bench.options import ALL, HELP, checked, in_order
from bench.shapes import Shape, named

KEPT = Path(__file__).with_name("results") / "guard.json"
ROOM = 0.25  # share of the kept ratio
OURS, CLIENT = "pintally", "aiokafka-raw"


@dataclass(frozen=True, slots=True)
class Guarded:
    """Ratios of one call and shape: events a CPU-second of ours to the client's."""

    events: int
    ratios: list[float]

    @property
    def ratio(self) -> float:
        """The one that is compared."""
        return median(self.ratios)


def is_slower(now: Guarded, kept: Guarded) -> bool:
    """Whether the ratio fell by more than noise explains."""
    return now.ratio < kept.ratio * (1 - ROOM)


def read(path: Path = KEPT) -> dict[str, Guarded]:
    """What is kept, by shape; empty if nothing is."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    return {shape: Guarded(**guarded) for shape, guarded in kept.items()}


def keep_these(found: Mapping[str, Guarded], path: Path = KEPT) -> None:
    """Keep the ratios of these shapes; those of other shapes stay."""
    kept = read(path) | dict(found)
    lines = [f"{json.dumps(name)}: {json.dumps(asdict(kept[name]))}" for name in in_order(kept)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def slower(found: Mapping[str, Guarded], kept: Mapping[str, Guarded]) -> list[str]:
    """The shapes whose ratio fell by more than noise explains."""
    return [shape for shape, now in found.items() if shape in kept and is_slower(now, kept[shape])]


def guard(
    events: Annotated[int, typer.Option(min=100_000, help="Records in the log of a shape.")] = 1_000_000,
    pairs: Annotated[int, typer.Option(min=1, help="Runs of each, in turns.")] = 3,
    shapes: Annotated[str, typer.Option(help=HELP, callback=checked, show_default="all")] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep what is measured, compare nothing.")] = False,
) -> None:
    """Measure pairs of each shape, compare their median ratio with the kept one."""
    found = measure(named(shapes or ALL), events, pairs)
    kept = read()
    for shape, now in found.items():
        typer.echo(f"{shape}: {describe(now, None if keep else kept.get(shape))}")
    if keep:
        keep_these(found)
        return
    if fell := slower(found, kept):
        typer.echo(
            f"the hot path has become slower for {', '.join(fell)}: see `python -m bench.profile --shapes "
            f"{','.join(fell)}` for the stage, and `--keep` if it is meant",
            err=True,
        )
        raise typer.Exit(1)
    if unknown := [shape for shape in found if shape not in kept]:
        typer.echo(f"nothing is kept to compare with of {', '.join(unknown)}: --keep keeps these ratios", err=True)
        raise typer.Exit(2)


def describe(now: Guarded, kept: Guarded | None) -> str:
    """The ratio beside the kept one."""
    pairs = ", ".join(f"{each:.3f}" for each in now.ratios)
    beside = f"; kept: {kept.ratio:.3f}, may fall to {kept.ratio * (1 - ROOM):.3f}" if kept else ""
    return f"{now.ratio:.3f} of the raw drain (pairs: {pairs}){beside}"


def measure(shapes: Sequence[Shape], events: int, pairs: int) -> dict[str, Guarded]:
    """So many pairs of each shape, shape by shape."""
    found = {}
    with open_engines() as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        for shape in shapes:
            ground = Ground(engines, Path(folder), anchored(events, shape))
            try:
                found[shape.name] = Guarded(events, measure_pairs(ground, pairs))
            finally:
                ground.close()
    return found


def measure_pairs(ground: Ground, pairs: int) -> list[float]:
    """Ratios, but for a first pair that is thrown away: the first readers of a new log find colder caches."""
    ours, client = (next(each for each in CONTESTANTS if each.name == name) for name in (OURS, CLIENT))
    ratios = []
    for pair in range(pairs + 1):
        drained = ours.drain(ground, pair)
        if not drained.correct:
            raise PeerFailed(f"{drained.wrong_cells:,} cells of the log of {ground.work.shape.name} are wrong")
        rates = drained.per_cpu_second, client.drain(ground, pair).per_cpu_second
        say(f"  {ground.work.shape.name}, pair {pair}: {rates[0]:,.0f} and {rates[1]:,.0f} events a CPU-second")
        ratios.append(rates[0] / rates[1])
    return ratios[1:]


if __name__ == "__main__":
    typer.run(guard)
