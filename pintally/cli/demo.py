"""`pintally demo`: engines, events, counts and `verify`, by the commands that a person would type."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from pintally.cli.console import progress, progress_bar, step
from pintally.schemas.errors import PintallyError
from pintally.streams.settings import LOCAL_DIR, LOCAL_ENV, load_settings
from pintally.tools.python import PINTALLY

STALL_SECONDS = 60.0  # if the ledger does not grow for so long, something is wrong
POLL_SECONDS = 0.5


def demo(
    events: Annotated[int, typer.Option(min=1, help="How many records to produce.")] = 200_000,
    directory: Annotated[Path, typer.Option(help="Folder for data and logs of the local engines.")] = LOCAL_DIR,
) -> None:
    """Start engines and a worker, produce events, show the counts and verify them.

    The demo starts Kafka and ClickHouse on this machine, or uses those that `pintally up` started in the same folder.
    It creates the topics and tables, runs a worker, produces events with duplicates, late and invalid records, and
    waits until all records are counted. Then it shows the top pins and the outcomes, and runs `verify`. The worker and
    the engines end with the demo. The data is kept: the next demo adds to it.

    Exit codes: those of `verify` (0 exact, 1 different, 2 cannot tell, 75 cannot tell now); 2 if another step failed.

    Example:

        pintally demo --events 1000000
    """
    with ended_by_signals(), engines(directory) as addresses:
        os.environ.update(addresses)
        run("migrate")
        log = directory / "logs" / "demo-worker.log"
        with worker(log) as counting:
            run("emulate", "--events", str(events))
            with step("the ledger has caught up with the log"):
                wait_until_counted(counting, log)
            run("top")
            run("status")
            verdict = call("verify")
    raise typer.Exit(verdict)


@contextmanager
def engines(directory: Path) -> Iterator[dict[str, str]]:
    """Yields the `PINTALLY_*` variables of running engines: those of `pintally up` in this folder, else new ones."""
    from pintally.tools.engines import local_engines
    from pintally.tools.engines.ready import kafka_answers

    announced = announced_addresses(directory / LOCAL_ENV.name)
    if announced and kafka_answers(announced["PINTALLY_KAFKA_BOOTSTRAP_SERVERS"]):
        progress.print(f"✓ using the engines that run in {directory}")
        yield announced
        return
    with local_engines(directory, report=lambda line: progress.print(line)) as ours:
        yield ours.addresses.environment()


def announced_addresses(file: Path) -> dict[str, str]:
    """Returns the variables that `pintally up` wrote to `file`; empty if it does not run here."""
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(file).items() if value is not None} if file.exists() else {}


def call(*command: str) -> int:
    """Print and run a command; returns its exit code."""
    progress.print(f"\n[bold]$ pintally {' '.join(command)}[/bold]")
    return subprocess.run([*PINTALLY, *command], stdin=subprocess.DEVNULL, check=False).returncode


def run(*command: str) -> None:
    """Print and run a command. Raises PintallyError if its exit code is not 0."""
    if code := call(*command):
        raise PintallyError(
            f"`pintally {command[0]}` ended with exit code {code}",
            "Its message above says why. Resolve it, then run the demo again.",
        )


@contextmanager
def worker(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `pintally worker` until the block ends, or until this process dies in any way; its output goes to `log`."""
    from pintally.tools.engines.child import GUARD

    progress.print(f"\n[bold]$ pintally worker --instance demo[/bold]  (its log: {log})")
    log.parent.mkdir(parents=True, exist_ok=True)
    guarded = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), "signal"]
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [*guarded, *PINTALLY, "worker", "--instance", "demo"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us; the guard stops the worker when we close its input
        ) as process,
    ):
        try:
            yield process
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait()


def wait_until_counted(counting: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the ledger covers the whole log. Raises PintallyError if the worker ended or makes no progress."""
    from pintally.sinks.clickhouse.sink import ClickHouseSink
    from pintally.streams.operations.progress import lag_of, read_progress

    settings = load_settings()
    sink = ClickHouseSink(settings.clickhouse)
    with progress_bar("counting") as bar:
        task, best, since = bar.add_task("counting", total=None), -1, time.monotonic()
        while True:
            sources = read_progress(settings.kafka, settings.topics, sink)
            total, lag = sum(source.log_end - source.log_start for source in sources), lag_of(sources)
            bar.update(task, total=total, completed=total - lag)
            if lag == 0:
                return
            if total - lag > best:
                best, since = total - lag, time.monotonic()
            check_worker(counting, log, time.monotonic() - since, lag)
            time.sleep(POLL_SECONDS)


def check_worker(counting: subprocess.Popen[bytes], log: Path, still_seconds: float, lag: int) -> None:
    """Raises PintallyError if the worker ended or makes no progress."""
    if counting.poll() is not None:
        said = log.read_text(errors="replace").strip().splitlines()[-3:]
        last = "\n".join(f"    {line}" for line in said)
        raise PintallyError(f"the worker ended with exit code {counting.returncode}:\n{last}", f"Read {log}.")
    if still_seconds > STALL_SECONDS:
        what = f"the worker has flushed nothing for {still_seconds:.0f} s; {lag:,} records are not counted"
        raise PintallyError(what, f"Read {log}.")


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that no process is left running."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
