"""Guards the hot path against growing slower: our rate beside the raw drain of the client, in the same run.

    python -m bench.guard            # exits 1 if the ratio fell clearly below the kept one, 2 if none is kept
    python -m bench.guard --keep     # measure, and keep the ratio in results/guard.json

Times mean nothing on a machine with other work, and little on another machine. The ratio of `pintally worker` to
aiokafka's `getmany` on the same log, taken in turns, says how much of an event's cost is ours. Single pairs still
differ by a tenth, so the median of the pairs is compared, and it may fall by ROOM before the guard says anything: it is
for what makes the hot path slower by a third, not for percents. Run it by hand or nightly; no test asserts it.
"""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from bench.contestants import CONTESTANTS
from bench.engines import open_engines, say
from bench.ground import Ground
from bench.log import anchored

KEPT = Path(__file__).with_name("results") / "guard.json"
ROOM = 0.25  # share of the kept ratio
OURS, CLIENT = "pintally", "aiokafka-raw"


@dataclass(frozen=True, slots=True)
class Guarded:
    """Ratios of one call: events a CPU-second of ours to the client's."""

    events: int
    ratios: list[float]

    @property
    def ratio(self) -> float:
        """The one that is compared."""
        return median(self.ratios)


def is_slower(now: Guarded, kept: Guarded) -> bool:
    """Whether the ratio fell by more than noise explains."""
    return now.ratio < kept.ratio * (1 - ROOM)


def guard(
    events: Annotated[int, typer.Option(min=100_000, help="Records in the log.")] = 1_000_000,
    pairs: Annotated[int, typer.Option(min=1, help="Runs of each, in turns.")] = 3,
    keep: Annotated[bool, typer.Option("--keep", help="Keep what is measured, compare nothing.")] = False,
) -> None:
    """Measure pairs, compare their median ratio with the kept one."""
    now = measure(events, pairs)
    typer.echo(f"{now.ratio:.3f} of the raw drain (pairs: {', '.join(f'{each:.3f}' for each in now.ratios)})")
    if keep:
        KEPT.write_text(json.dumps(asdict(now)) + "\n")
        return
    if not KEPT.exists():
        typer.echo("Nothing is kept to compare with: --keep keeps this ratio.", err=True)
        raise typer.Exit(2)
    kept = Guarded(**json.loads(KEPT.read_text()))
    typer.echo(f"kept: {kept.ratio:.3f}, may fall to {kept.ratio * (1 - ROOM):.3f}")
    if is_slower(now, kept):
        typer.echo(
            "the hot path has become slower: see `make profile` for the stage, and `--keep` if it is meant", err=True
        )
        raise typer.Exit(1)


def measure(events: int, pairs: int) -> Guarded:
    """So many pairs, after one that is thrown away: the first readers of a new log find colder caches."""
    ours, client = (next(each for each in CONTESTANTS if each.name == name) for name in (OURS, CLIENT))
    ratios = []
    with open_engines() as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        ground = Ground(engines, Path(folder), anchored(events))
        try:
            for pair in range(pairs + 1):
                rates = [each.drain(ground, pair).per_cpu_second for each in (ours, client)]
                say(f"  pair {pair}: {rates[0]:,.0f} and {rates[1]:,.0f} events a CPU-second")
                ratios.append(rates[0] / rates[1])
        finally:
            ground.close()
    return Guarded(events, ratios[1:])


if __name__ == "__main__":
    typer.run(guard)
