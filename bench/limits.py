"""All benchmarks of limits, one after the other.

    python -m bench.limits            # all of NAMES, one after the other
    python -m bench.limits --quick
    python -m bench.limits --only views --only scale
    python -m bench.limits --only steady --shapes own,extra

Each runs as a command of its own with engines of its own (or those that PINTALLY_KAFKA_BOOTSTRAP_SERVERS and
PINTALLY_CLICKHOUSE_HOST name), leaves NAME.json in the results, and can be run alone. Then limits.md shows all figures
that lie there, and the capacity model and the day are computed from them. It exits 1 if one of them could not be
run; a target that is missed is no error, it is shown. --shapes is for `steady` only, where events are decoded in small
chunks; the others vary other things than how events are written.
"""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.day_costs import NEEDED
from bench.figures import RESULTS, Kept, markdown
from bench.options import HELP, checked
from bench.steady import BY_DEFAULT

NAMES = (
    "steady", "freshness", "recovery", "rolling", "memory", "scale", "flushes", "rows", "aggregates", "views",
    "features", "experiments",
)  # fmt: skip
MODELS = {"capacity": ("steady", "rows"), "day": NEEDED}


def limits(
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, some minutes in all.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    shapes: Annotated[str, typer.Option(help=f"Of `steady`. {HELP}", callback=checked, show_default=BY_DEFAULT)] = "",
    into: Annotated[Path, typer.Option(help="Folder for the results.")] = RESULTS,
) -> None:
    """Run, write, print."""
    options = ["--into", str(into), *(["--quick"] if quick else [])]
    of_steady = ["--shapes", shapes] if shapes else []
    chosen = [name for name in NAMES if not only or name in only]
    failed = [name for name in chosen if run(name, *options, *(of_steady if name == "steady" else []))]
    for model, needed in MODELS.items():
        if all((into / f"{name}.json").exists() for name in needed):
            failed += [model] if run(model, "--results", str(into)) else []
    (into / "limits.md").write_text(together(into))
    if failed:
        typer.echo(f"could not be run: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def run(name: str, *options: str) -> int:
    """One command; its exit code."""
    typer.echo(f"== {name}", err=True)
    return subprocess.run([sys.executable, "-m", f"bench.{name}", *options], check=False).returncode


def together(into: Path) -> str:
    """The tables of all results that lie in the folder."""
    found = [Kept.from_json(path.read_text()) for name in NAMES if (path := into / f"{name}.json").exists()]
    return "\n".join(f"## {each.benchmark}\n\n{markdown(each)}" for each in found)


if __name__ == "__main__":
    typer.run(limits)
