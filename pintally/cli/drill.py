"""`pintally drill`: real workers, real engines, real faults; and exact in the end, or it says so."""

import json
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from pintally.cli.up import interrupted_by_signals
from pintally.schemas.errors import PintallyError
from pintally.tools.drill.faults import FAULTS
from pintally.tools.drill.report import EXACT, INCONCLUSIVE
from pintally.tools.drill.run import Options
from pintally.tools.drill.run import drill as run
from pintally.tools.engines.brokers import check_count


def drill(
    faults: Annotated[str, typer.Option(help="Names, separated by commas, or `all`.")] = "all",
    minutes: Annotated[float, typer.Option(min=0, help="How long faults are injected; each one at least once.")] = 3.0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Determines order and choices of faults.", show_default="by the clock")
    ] = None,
    rate: Annotated[float, typer.Option(min=1, help="Events a second.")] = 2_000.0,
    workers: Annotated[int, typer.Option(min=2, help="Workers that share the partitions.")] = 3,
    kafka_brokers: Annotated[int, typer.Option(min=1, help="Brokers of Kafka: 1, or 3 with faults of their own.")] = 1,
    memory: Annotated[int, typer.Option(min=1, help="Memory that one worker may use, in MiB.")] = 512,
    keep: Annotated[
        Path | None, typer.Option(help="Keep data and logs in this folder.", show_default="deleted if all is well")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report there too, as text.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Inject faults into workers and engines of its own, and check the counts."""
    check_count(kafka_brokers)
    chosen = names(faults, kafka_brokers)
    folder = keep or _temporary_folder()
    folder.mkdir(parents=True, exist_ok=True)
    seed = int(time.time()) if seed is None else seed
    say(f"drill with seed {seed} in {folder}")
    options = Options(chosen, minutes, seed, rate, workers, memory, folder, kafka_brokers)
    with interrupted_by_signals(), mistakes_are_inconclusive():
        found = run(options, say)
    if report is not None:
        report.write_text(found.text() + "\n")
    print(json.dumps(found.to_dict(), indent=2) if as_json else found.text())
    if keep is None and found.exit_code == EXACT:
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(found.exit_code)


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="pintally-drill-"))
    except OSError as error:
        raise PintallyError(
            f"there is no place for the drill's files ({error.strerror})",
            "Set TMPDIR to a folder that you may write to, or name one with --keep.",
        ) from error


@contextmanager
def mistakes_are_inconclusive() -> Iterator[None]:
    """A mistake in the drill itself says nothing about counts: exit code 2, and not the 1 that a traceback gives."""
    try:
        yield
    except PintallyError:
        raise
    except Exception:  # noqa: BLE001 - it does not go on: the traceback is shown and the drill ends
        traceback.print_exc()
        raise typer.Exit(INCONCLUSIVE) from None


def names(faults: str, brokers: int = 1) -> tuple[str, ...]:
    """The faults asked for. Raises PintallyError for a name that nobody knows, or that needs more brokers."""
    possible = [name for name, fault in FAULTS.items() if fault.brokers <= brokers]
    asked = tuple(possible) if faults == "all" else tuple(dict.fromkeys(name.strip() for name in faults.split(",")))
    unknown = [name for name in asked if name not in FAULTS]
    if unknown:
        raise PintallyError(f"--faults {','.join(unknown)}: no such fault", f"Choose from: {', '.join(FAULTS)}.")
    if lacking := [name for name in asked if name not in possible]:
        raise PintallyError(
            f"--faults {','.join(lacking)}: needs several brokers of Kafka",
            f"Add --kafka-brokers {max(FAULTS[name].brokers for name in lacking)}.",
        )
    return asked


def say(line: str) -> None:
    """Progress, a line at a time."""
    print(line, file=sys.stderr, flush=True)


def help_text() -> str:
    """The summary, all faults with what shows that they took effect, and the exit codes."""
    width = max(map(len, FAULTS))

    def listed(names: Iterable[str]) -> str:
        return "\n".join(f"    {name:<{width}}  {FAULTS[name].summary}" for name in names)

    many = [name for name, fault in FAULTS.items() if fault.brokers > 1]
    few = [name for name in FAULTS if name not in many]
    return f"""{drill.__doc__}

The drill starts its own Kafka and ClickHouse, workers with a proxy to each engine, and steady traffic whose counts are
known in advance. It injects faults in an order that the seed determines, and ends with `pintally verify`. The same seed
gives the same order and choices, not the same moments.

Exit codes: 0 exact, and every fault took effect; 1 a count differs; a reader of the views saw a count above the final
one, or a final window that changed; the lag does not return to zero; or a worker used more memory than it may;
2 inconclusive: a fault never took effect, or the counts could not be checked.

Faults:

{listed(few)}

Faults of a Kafka with three brokers (--kafka-brokers 3):

{listed(many)}

Example:

    pintally drill --faults worker-kill,answers-lost --minutes 1
"""


drill.__doc__ = help_text()
