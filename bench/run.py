"""`make bench`: Pintally and its peers side by side, on the same records, every count checked.

    python -m bench.run                       # everything this machine can run: 4,000,000 events, 5 runs
    python -m bench.run --quick               # a few minutes
    python -m bench.run --only pintally --only aiokafka-raw --runs 3
    python -m bench.run --shapes sorted,extra # these shapes of traffic, with every contestant

It starts Kafka and ClickHouse (or takes those that PINTALLY_* variables name), makes the log of a shape,
lets each contestant drain it as a process of its own, one after the other, run by run, then takes the next shape, and
writes results as JSON and Markdown. Without --shapes these are `own`, and `arms` for all but the slow peers: all eight
would take many hours, and `bench.guard` and `bench.marginal` measure each of them. Nothing is asserted on time; it
exits 1 if a run of Pintally failed or its counts are not exact.
"""

import logging
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bench.contestants import CONTESTANTS, Contestant, choose
from bench.drain import PeerFailed
from bench.engines import open_engines, say
from bench.ground import Ground
from bench.log import anchored
from bench.measured import Measured
from bench.options import HELP, checked
from bench.outcome import Entry, Failure, Results, machine, now, peer_versions, versions
from bench.report import markdown
from bench.shapes import named

RESULTS = Path(__file__).with_name("results")
QUICK_EVENTS = 1_000_000
QUICK_SLOW = 0.2
BY_DEFAULT = "own,arms"


def bench(
    events: Annotated[int, typer.Option(min=1000, help="Records in the log.")] = 4_000_000,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each; the median counts.")] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="A quarter of the log, one run.")] = False,
    slow: Annotated[float, typer.Option(help="Scales the prefixes of the log that slow peers get.")] = 1.0,
    only: Annotated[list[str] | None, typer.Option(help="Only this contestant; may be repeated.")] = None,
    shapes: Annotated[str, typer.Option(help=HELP, callback=checked, show_default=BY_DEFAULT)] = "",
    into: Annotated[Path, typer.Option(help="Folder for peers.json and peers.md.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Measure, write the table, print it."""
    if quick:
        events, runs, slow = min(events, QUICK_EVENTS), 1, min(slow, QUICK_SLOW)
    with open_engines() as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        entries = [Entry(each.name, each.title, each.crash) for each in CONTESTANTS if not only or each.name in only]
        results = Results(now(), machine(), versions(engines.settings) | peer_versions(), {}, entries)
        for shape in named(shapes or BY_DEFAULT):
            ground = Ground(engines, Path(folder), anchored(events, shape), slow, runs)
            try:
                describe_work(ground, results)
                for _ in run_all(choose(shape, only, bool(shapes)), ground, runs, results):
                    write(results, into)  # so that an interrupted call leaves what it has
            finally:
                ground.close()
    typer.echo(results.to_json() if as_json else markdown(results))
    if not is_exact(results):
        raise typer.Exit(1)


def is_exact(results: Results) -> bool:
    """Whether every run of Pintally came to its end with every count right."""
    failed = any(each.contestant.startswith("pintally") for each in results.failures)
    return not failed and all(each.correct for each in results.runs if each.contestant.startswith("pintally"))


def write(results: Results, into: Path) -> None:
    """Leave peers.json and peers.md there."""
    into.mkdir(parents=True, exist_ok=True)
    (into / "peers.json").write_text(results.to_json() + "\n")
    (into / "peers.md").write_text(markdown(results))


def run_all(chosen: list[Contestant], ground: Ground, runs: int, results: Results) -> Iterator[None]:
    """Every contestant once, then again, so that a disturbance of the machine falls on all; yields after each."""
    able, shape = [], ground.work.shape.name
    for contestant in chosen:
        reason = contestant.missing()
        if reason:
            results.failures.append(Failure(contestant.name, None, reason, shape))
            say(f"{contestant.title}: left out, {reason}")
        else:
            able.append(contestant)
    for run in range(1, runs + 1):
        for contestant in able:
            try:
                results.runs.append(replace(contestant.drain(ground, run), shape=shape))
                say(describe(results.runs[-1]))
            except PeerFailed as failed:
                results.failures.append(Failure(contestant.name, run, str(failed), shape))
                say(f"run {run}: {contestant.title}: {failed}")
            yield


def describe_work(ground: Ground, results: Results) -> None:
    """Keep the size of the log. Raises RuntimeError if it is not that of the shape before: the events are the same."""
    log = ground.log(None)
    size = {"events": log.events, "cells": len(log.cells), "pins": log.pins, "partitions": log.partitions}
    if results.work and results.work != size:
        raise RuntimeError(f"the log of {ground.work.shape.name} holds {size}; of the shape before {results.work}")
    results.work.update(size)
    results.value_bytes[ground.work.shape.name] = log.value_bytes


def describe(measured: Measured) -> str:
    """One line about a run."""
    wrong = measured.wrong_cells
    exact = "counts nothing" if wrong is None else f"{wrong:,} cells WRONG" if wrong else "correct"
    return (
        f"  {measured.run} {measured.shape:<8} {measured.contestant:<22} {measured.events:>10,} events "
        f"{measured.cpu_seconds:7.2f} CPU-s "
        f"{measured.seconds:7.2f} s {measured.per_cpu_second:>10,.0f} a CPU-s, "
        f"{measured.peak_bytes / 2**20:,.0f} MiB, {exact}, load {measured.load:.1f}"
    )


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # the client's: a new topic has no leader for a moment
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # children, topics and folders are cleaned up
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(bench)
    command()
