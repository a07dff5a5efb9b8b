"""`pintally demo`: the whole way once, by the same commands a person would type."""

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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pintally.cli.console import progress, step
from pintally.schemas.errors import PintallyError
from pintally.streams.settings import LOCAL_DIR, LOCAL_ENV, load_settings
from pintally.tools.python import PINTALLY

STALL_SECONDS = 60.0  # without one more record in the ledger something is wrong
POLL_SECONDS = 0.5


def demo(
    events: Annotated[int, typer.Option(min=1, help="How many records to produce.")] = 200_000,
    directory: Annotated[Path, typer.Option(help="Where the local engines keep data and logs.")] = LOCAL_DIR,
) -> None:
    """Show it all: engines, traffic, counts, and the proof of them.

    Starts Kafka and ClickHouse on this machine (or uses those of a `pintally up` in the same folder), creates topics
    and tables, runs a worker, produces traffic with duplicates, late and broken records, waits until the last record
    is counted, shows the top pins and the outcome of every record, and lets `verify` recount all of it. The worker and
    the engines end with the demo; the data is kept, and the next demo adds to it.

    Exit codes: those of `verify` (0 exact, 1 it differs, 2 it could not tell, 75 not now), 2 if anything else
    failed.

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
    """The `PINTALLY_*` variables of running engines: those of `pintally up` in this folder, else our own."""
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
    """What `pintally up` wrote; nothing if it does not run here."""
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(file).items() if value is not None} if file.exists() else {}


def call(*command: str) -> int:
    """Run a command of ours as a person would, showing it; its exit code."""
    progress.print(f"\n[bold]$ pintally {' '.join(command)}[/bold]")
    return subprocess.run([*PINTALLY, *command], stdin=subprocess.DEVNULL, check=False).returncode


def run(*command: str) -> None:
    """`call`, and raise PintallyError unless it went well."""
    if code := call(*command):
        raise PintallyError(
            f"`pintally {command[0]}` ended with exit code {code}",
            "What it printed above says why; mend it, run again.",
        )


@contextmanager
def worker(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`pintally worker` until the end of the block, or of this process however it dies; what it says goes to `log`."""
    from pintally.tools.engines.child import GUARD

    progress.print(f"\n[bold]$ pintally worker --instance demo[/bold]  (what it says: {log})")
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
    """Return when the ledger covers the whole log. Raises PintallyError if the worker ended or stands still."""
    from pintally.sinks.clickhouse.sink import ClickHouseSink
    from pintally.streams.operations.progress import lag_of, read_progress

    settings = load_settings()
    sink = ClickHouseSink(settings.clickhouse)
    columns = (TextColumn("counting"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=progress, transient=True) as bar:
        task, best, since = bar.add_task("counting", total=None), -1, time.monotonic()
        while True:
            sources = read_progress(settings, sink)
            total, lag = sum(source.log_end - source.log_start for source in sources), lag_of(sources)
            bar.update(task, total=total, completed=total - lag)
            if lag == 0:
                return
            if total - lag > best:
                best, since = total - lag, time.monotonic()
            check_worker(counting, log, time.monotonic() - since, lag)
            time.sleep(POLL_SECONDS)


def check_worker(counting: subprocess.Popen[bytes], log: Path, still_seconds: float, lag: int) -> None:
    """Raises PintallyError if waiting is in vain."""
    if counting.poll() is not None:
        said = log.read_text(errors="replace").strip().splitlines()[-3:]
        last = "\n".join(f"    {line}" for line in said)
        raise PintallyError(f"the worker ended with exit code {counting.returncode}:\n{last}", f"Read {log}.")
    if still_seconds > STALL_SECONDS:
        what = f"the worker has recorded nothing for {still_seconds:.0f} s, and {lag:,} records wait"
        raise PintallyError(what, f"Read {log}.")


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that nothing is left running."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
