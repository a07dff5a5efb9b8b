"""How many events a CPU-second: `pintally worker` and idiomatic Faust on the same log.

A log is filled by the emulator; then each worker starts as a process of its own and catches up with it, one after the
other, with nothing else of ours running but Kafka and ClickHouse.

What is inside the CPU figure: user + system time of the worker process alone, all its threads (not Kafka's, not
ClickHouse's), fetching, decoding, fates, counting, and for Pintally also the duplicate filter, dead letters, ticks,
inserts and the ledger, until the last count is in ClickHouse. Idiomatic Faust lands nothing anywhere.

- Pintally: from /proc/PID/stat (a resolution of 10 ms). The start is the moment its first start row is seen in
  ClickHouse, which it writes before it folds its first record; the end is when the ledger has reached the end of every
  source's log. Both are looked for every 20 ms, so the figure is right to about that. Then `pintally verify` must find
  every count exact, and their sum must be what the emulator says was sent to be counted.
- Idiomatic Faust: process_time in the process, from the first record handled to the last of `--faust-events`. It gets a
  prefix of the same log because it is slow. Broken records stop a Faust agent, so the log holds none unless asked for.

Start-up (imports, joining the group) is outside for both and printed for Pintally. Nothing is asserted on time; the
command fails only if counts are not exact. Engines: those that PINTALLY_KAFKA and PINTALLY_CLICKHOUSE_HOST name, else
local ones in a temporary folder.

    python bench/catch_up.py --events 4000000 --runs 3
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from clickhouse_driver import Client

from sinks.address import ClickHouseAddress
from streams.admin import open_admin
from streams.settings import Settings
from streams.topics import create_topics, describe_topics, read_offsets, sources_of

TICKS = os.sysconf("SC_CLK_TCK")
LOOK_SECONDS = 0.02
GIVE_UP_SECONDS = 900
IDIOMATIC = Path(__file__).with_name("idiomatic_faust.py")


@dataclass(frozen=True)
class Measured:
    """One worker process, from the first record to the last. CPU is user + system."""

    worker: str
    events: int
    cpu_seconds: float
    seconds: float
    peak_bytes: int
    start_up_cpu_seconds: float | None
    exact: bool | None  # None: not looked at
    load: tuple[float, float, float]  # of the machine when it began

    @property
    def per_cpu_second(self) -> float:
        return self.events / self.cpu_seconds


def catch_up(
    events: Annotated[int, typer.Option(help="Records in the log.")] = 2_000_000,
    faust_events: Annotated[
        int, typer.Option(help="Records of the log that idiomatic Faust gets; 0 skips it.")
    ] = 60_000,
    runs: Annotated[int, typer.Option(help="Runs of each; the median is compared.")] = 1,
    partitions: int = 4,
    duplicates: float = 0.01,
    late: float = 0.002,
    broken: float = 0.0,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Measure both, print events per CPU-second and their ratio."""
    with open_settings() as base, tempfile.TemporaryDirectory() as folder:
        settings = base.model_copy(
            update={"topic_prefix": f"bench{uuid.uuid4().hex[:8]}.", "partitions": partitions, "group": "unused"}
        )
        try:
            create_topics(settings)
            say(f"filling {events:,} records ...")
            shares = ("--duplicates", str(duplicates), "--late", str(late), "--broken", str(broken))
            sent = json.loads(pintally(settings, "emulate", "--events", str(events), *shares, "--json"))
            results = []
            for run in range(runs):
                say(f"run {run + 1} of {runs}")
                results.append(measure_pintally(settings, sent["counted"], Path(folder)))
                say(describe(results[-1]))
                if faust_events:
                    results.append(measure_faust(settings, min(faust_events, events), Path(folder)))
                    say(describe(results[-1]))
            report = summary(settings, sent, results)
        finally:
            drop_topics(settings)
    typer.echo(json.dumps(report) if as_json else table(report))
    if any(result.exact is False for result in results):
        raise typer.Exit(1)


@contextmanager
def open_settings() -> Iterator[Settings]:
    """Settings of the environment's engines, or of local ones that end with us."""
    if os.environ.get("PINTALLY_KAFKA") and os.environ.get("PINTALLY_CLICKHOUSE_HOST"):
        yield Settings(_env_file=None)
        return
    from streams.engines import local_engines

    with tempfile.TemporaryDirectory() as folder, local_engines(Path(folder), report=say) as engines:
        yield Settings(_env_file=None, **asdict(engines.addresses))


def pintally(settings: Settings, *arguments: str) -> str:
    """Run a command to its end and return what it printed."""
    line = [sys.executable, "-m", "streams.cli", *arguments]
    return subprocess.run(line, env=settings.environment(), check=True, stdout=subprocess.PIPE, text=True).stdout


def measure_pintally(base: Settings, counted: int, folder: Path) -> Measured:
    """One catch-up into a new database, by a new group."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    settings = base.model_copy(update={"clickhouse_database": name, "group": name})
    pintally(settings, "migrate")
    sources = sources_of(describe_topics(settings))
    offsets = read_offsets(settings, sources)
    end = sum(each.log_end for each in offsets.values())
    load = os.getloadavg()
    log = folder / f"{name}.log"
    with clickhouse(settings.clickhouse) as client, log.open("a") as output:
        try:
            start, cpu, seconds, peak = run_worker(settings, client, end, log)
            total = ask(client, "SELECT sum(events) FROM pin_minutes FINAL")
            line = [sys.executable, "-m", "streams.cli", "verify"]
            verified = subprocess.run(line, env=settings.environment(), stdout=output, stderr=output)
        finally:
            ask(client, f"DROP DATABASE {name}")
    exact = verified.returncode == 0 and total == counted
    if not exact:
        say(f"verify ended with {verified.returncode}, {total:,} counted of {counted:,}:\n{log.read_text()[-3000:]}")
    return Measured("pintally", end, cpu, seconds, peak, start, exact, load)


def run_worker(settings: Settings, client: Client, end: int, log: Path) -> tuple[float, float, float, int]:
    """CPU seconds of the start-up, CPU seconds and seconds of the catch-up to `end`, and peak memory in bytes."""
    line = [sys.executable, "-m", "streams.cli", "worker", "--log-level", "WARNING"]
    with log.open("w") as output:
        worker = subprocess.Popen(line, env=settings.environment(), stdout=output, stderr=output)
    try:
        wait(worker, log, lambda: ask(client, "SELECT count() FROM ingest_starts"))
        start, began = cpu_seconds(worker.pid), time.monotonic()
        wait(worker, log, lambda: landed(client) >= end)
        return start, cpu_seconds(worker.pid) - start, time.monotonic() - began, peak_bytes(worker.pid)
    finally:
        worker.terminate()
        worker.wait(60)


def measure_faust(settings: Settings, events: int, folder: Path) -> Measured:
    """One run of idiomatic Faust on the first records it gets; a new group each time."""
    reader, writer = os.pipe()
    load = os.getloadavg()
    with (folder / "faust.log").open("w") as output:
        worker = subprocess.Popen(
            [
                sys.executable,
                str(IDIOMATIC),
                settings.kafka,
                settings.topic_prefix,
                str(settings.partitions),
                str(events),
            ],
            env=settings.environment() | {"BENCH_REPORT_FD": str(writer), "BENCH_GROUP": uuid.uuid4().hex[:8]},
            pass_fds=[writer],
            cwd=folder,
            stdout=output,
            stderr=output,
        )
        os.close(writer)
        try:
            with os.fdopen(reader) as report:
                read: dict[str, Any] = json.loads(report.read() or "null") or {}
        finally:
            worker.kill()
            worker.wait()
    if not read:
        raise SystemExit(
            f"idiomatic Faust ended early; the end of its log:\n{(folder / 'faust.log').read_text()[-2000:]}"
        )
    return Measured("idiomatic faust", **read, start_up_cpu_seconds=None, exact=None, load=load)


def wait(worker: "subprocess.Popen[bytes]", log: Path, done: Any) -> None:
    """Return when `done()`; raise if the worker ends or takes too long."""
    give_up = time.monotonic() + GIVE_UP_SECONDS
    while not done():
        if worker.poll() is not None or time.monotonic() > give_up:
            raise SystemExit(f"the worker did not get there; the end of its log:\n{log.read_text()[-3000:]}")
        time.sleep(LOOK_SECONDS)


@contextmanager
def clickhouse(address: ClickHouseAddress) -> Iterator[Client]:
    client = Client(
        address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        database=address.database,
        secure=address.secure,
    )
    try:
        yield client
    finally:
        client.disconnect()


def ask(client: Client, query: str) -> int:
    rows = client.execute(query)
    return int(rows[0][0]) if rows else 0


def landed(client: Client) -> int:
    """Sum of the positions that the ledger has recorded."""
    return ask(client, "SELECT sum(p) FROM (SELECT max(position) AS p FROM ingest_ledger GROUP BY source)")


def cpu_seconds(pid: int) -> float:
    """User + system time of a process and all its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_bytes(pid: int) -> int:
    """Peak resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def drop_topics(settings: Settings) -> None:
    with open_admin(settings) as admin:
        admin.delete_topics([name for name in admin.list_topics() if settings.topic_prefix in name])


def summary(settings: Settings, sent: dict[str, Any], results: list[Measured]) -> dict[str, Any]:
    """Everything a reader needs to judge the figures."""
    medians = {
        worker: statistics.median(each.per_cpu_second for each in results if each.worker == worker)
        for worker in dict.fromkeys(each.worker for each in results)
    }
    ratio = medians["pintally"] / medians["idiomatic faust"] if len(medians) == 2 else None
    return {
        "events_per_cpu_second": {worker: round(value) for worker, value in medians.items()},
        "ratio": ratio and round(ratio, 1),
        "runs": [asdict(each) | {"per_cpu_second": round(each.per_cpu_second)} for each in results],
        "log": {"records": sent["records"], "partitions": settings.partitions, "timestamps": settings.topic_timestamps},
        "machine": machine(),
        "versions": versions(settings),
    }


def machine() -> dict[str, Any]:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count(), "load_at_end": os.getloadavg()}


def versions(settings: Settings) -> dict[str, str]:
    packages = ("pintally", "faust-streaming", "aiokafka", "clickhouse-driver", "msgspec", "numpy", "uvloop")
    with clickhouse(settings.model_copy(update={"clickhouse_database": "default"}).clickhouse) as client:
        server = client.execute("SELECT version()")[0][0]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=IDIOMATIC.parent
    )
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "clickhouse": server,
        "commit": commit.stdout.strip(),
    }


def describe(result: Measured) -> str:
    exact = {True: ", exact", False: ", NOT EXACT", None: ""}[result.exact]
    return (
        f"  {result.worker:<16} {result.events:>10,} events, {result.cpu_seconds:7.2f} CPU-s, {result.seconds:7.2f} s, "
        f"{result.per_cpu_second:>9,.0f} events per CPU-s, peak {result.peak_bytes / 2**20:,.0f} MiB{exact}, "
        f"load {result.load[0]:.1f}"
    )


def table(report: dict[str, Any]) -> str:
    lines = [f"{worker}: {value:,} events per CPU-second" for worker, value in report["events_per_cpu_second"].items()]
    if report["ratio"]:
        lines.append(f"ratio: {report['ratio']}")
    details = ("log", "machine", "versions")
    lines += [f"{part}: " + ", ".join(f"{name} {value}" for name, value in report[part].items()) for part in details]
    return "\n".join(lines)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    command = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    command.command()(catch_up)
    command()
