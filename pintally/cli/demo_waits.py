"""What the demo waits for: that all is counted, and that what is counted is known at a cut."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from pintally.cli.console import progress_bar
from pintally.schemas.actions import REPLAY
from pintally.schemas.errors import PintallyError
from pintally.schemas.rules import ARRIVAL_BUCKET_MS
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.sink import ClickHouseSink
from pintally.sinks.reads.cuts import read_cut
from pintally.streams.operations.progress import Progress, lag_of, read_progress
from pintally.streams.settings import load_settings

STALL_SECONDS = 60.0  # if the ledger or the cut does not move for so long, something is wrong
POLL_SECONDS = 0.5
BUCKET = ARRIVAL_BUCKET_MS // 1000


def wait_until_counted(counting: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the ledger covers the whole log. Raises PintallyError if the worker ended or makes no progress."""
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


def wait_until_known(counting: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the cut is published that every source has passed by now.

    Raises PintallyError if the worker ended or does not seal.
    """
    settings = load_settings()
    sources = read_progress(settings.kafka, settings.topics, ClickHouseSink(settings.clickhouse))
    closed = closed_cut(sources, int(time.time()) - settings.worker.idle_margin_seconds)
    with Connection(settings.clickhouse, only_reads=True) as connection:
        newest, since = 0, time.monotonic()
        while (cut := read_cut(connection).moment) < closed:
            if cut > newest:
                newest, since = cut, time.monotonic()
            if time.monotonic() - since > STALL_SECONDS:
                raise PintallyError(f"no cut was published for {STALL_SECONDS:.0f} s", f"Read {log}.")
            check_worker(counting, log, still_seconds=0, lag=0)
            time.sleep(POLL_SECONDS)


def closed_cut(sources: Sequence[Progress], idle_until: int) -> int:
    """The highest cut (seconds since 1970) that all of these have passed; 0 if one without a record holds it back.

    Only a replay topic passes without a record, by the broker's clock: up to `idle_until`.
    """
    passed = [
        idle_until if source.source.topic.endswith(REPLAY) else (source.stream_time or 0) // 1000 for source in sources
    ]
    return min(passed, default=0) // BUCKET * BUCKET
