"""`pintally demo`: engines, events, counts and `verify`, by the commands that a person would type."""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from pintally.cli.console import progress, step
from pintally.cli.demo_processes import running, wait_until_served
from pintally.cli.demo_waits import wait_until_counted, wait_until_known
from pintally.cli.up import Extra, With, check_found, monitoring
from pintally.schemas.errors import PintallyError
from pintally.streams.settings import LOCAL_DIR, LOCAL_ENV, load_settings
from pintally.tools.emulate.arms import EXPERIMENT
from pintally.tools.python import PINTALLY

EFFECT = 0.3  # of the emulated experiment: this share of saves more
HOURS = 3  # of event time, ending now: hours become complete, and features have a past
# Topics, group and database of its own. Its producers stamp the records, with times of the last hours; topics of other
# traffic have the broker's time.
APART = {
    "PINTALLY_TOPIC_PREFIX": "demo.",
    "PINTALLY_TOPIC_TIMESTAMPS": "CreateTime",
    "PINTALLY_KAFKA_GROUP_ID": "pintally-demo",
    "PINTALLY_CLICKHOUSE_DATABASE": "pintally_demo",
    "PINTALLY_SEAL_SECONDS": "1",
    "PINTALLY_EXPERIMENTS": EXPERIMENT,
    "PINTALLY_COUNT_USERS": "true",
}
KEY_BYTES = 16  # of PINTALLY_USER_KEY: each demo begins with new tables, so it may have a new key


def demo(
    events: Annotated[int, typer.Option(min=1, help="How many records to produce.")] = 200_000,
    directory: Annotated[Path, typer.Option(help="Folder for data and logs of the local engines.")] = LOCAL_DIR,
    with_: With = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Do not end by itself: go on until Ctrl-C, with page and metrics.")
    ] = False,
) -> None:
    """Start engines and a worker, produce events, show the counts and verify them.

    The demo starts Kafka and ClickHouse on this machine, or uses those that `pintally up` started in the same folder.
    It creates topics and tables of its own (`demo.engagement...`, database `pintally_demo`), runs a worker, produces
    events of the last three hours with duplicates, late and invalid records, and waits until all records are counted
    and known at a cut. Then it shows the outcomes, runs `verify`, and ends with the top pins of the last hour, the
    features and surfaces of the first of them, and the results of an experiment, with the users of its arms. The
    worker, the live page (`pintally serve`) and the engines end with the demo. The next demo starts anew.

    Exit codes: those of `verify` (0 exact, 1 different, 2 cannot tell, 75 cannot tell now); 2 if another step failed.

    Example:

        pintally demo --events 1000000
        pintally demo --with prometheus --stay
    """
    check_found(with_)
    with ended_by_signals(), engines(directory) as addresses, prometheus(directory, with_):
        os.environ.update(addresses | APART | {"PINTALLY_USER_KEY": secrets.token_hex(KEY_BYTES)})
        forget_the_last()
        run("migrate")
        log, page_log = (directory / "logs" / f"demo-{name}.log" for name in ("worker", "serve"))
        with (
            served_at(directory) as (metrics, served),
            running(log, "worker", "--instance", "demo") as counting,
            running(page_log, "serve", "--port", served.rpartition(":")[2]) as page,
        ):
            wait_until_served(page, page_log, served)
            progress.print(f"✓ the live page: http://{served}/  (metrics: http://{served}/metrics)")
            progress.print(f"✓ metrics of the worker: http://{metrics}/metrics")
            run("emulate", "--events", str(events), "--span", str(HOURS * 60), "--effect", str(EFFECT))
            with step("the ledger has caught up with the log"):
                wait_until_counted(counting, log)
            with step("what arrived before the last full ten minutes is sealed, and the cut is published"):
                wait_until_known(counting, log)
            run("status")
            verdict = call("verify")
            run("top", "--window", "1h")
            if pin := top_pin():
                run("features", pin)
                run("breakdown", pin)
            run("experiment", EXPERIMENT)
            if stay:
                wait_for_ctrl_c()
    raise typer.Exit(verdict)


@contextmanager
def prometheus(directory: Path, wanted: list[Extra] | None) -> Iterator[None]:
    """Prometheus, if it is asked for, and its address in the output."""
    with monitoring(directory / "prometheus-demo", wanted, progress.print) as address:
        if address:
            progress.print(f"✓ Prometheus: {address}")
        yield


@contextmanager
def served_at(directory: Path) -> Iterator[tuple[str, str]]:
    """Yields host:port for the worker's metrics and for the page. Prometheus finds both, whatever folder this is."""
    from pintally.streams.http.targets import SERVE_JOB, TARGETS, WORKER_JOB, announced_target
    from pintally.tools.engines.ports import LOOPBACK, free_port

    metrics, page = free_port(), free_port()
    os.environ.update(PINTALLY_METRICS_HOST=LOOPBACK, PINTALLY_METRICS_PORT=str(metrics), PINTALLY_SERVE_HOST=LOOPBACK)
    worker, served, folder = f"{LOOPBACK}:{metrics}", f"{LOOPBACK}:{page}", directory / TARGETS.name
    with announced_target(worker, WORKER_JOB, "demo", folder), announced_target(served, SERVE_JOB, "serve", folder):
        yield worker, served


def wait_for_ctrl_c() -> None:
    """Return when somebody presses Ctrl-C."""
    progress.print("\nCtrl-C ends the demo.")
    with suppress(KeyboardInterrupt):
        signal.pause()


def forget_the_last() -> None:
    """Delete the topics and the database of an earlier demo on these engines."""
    from pintally.sinks.clickhouse.connection import Connection
    from pintally.streams.kafka.admin import open_admin

    settings = load_settings()
    prefix = settings.topics.topic_prefix
    with open_admin(settings.kafka) as admin:
        if old := [name for name in admin.list_topics() if name.startswith(prefix)]:
            admin.delete_topics(old)
    with Connection(settings.clickhouse, database="") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS `{settings.clickhouse.database}` SYNC")


def top_pin() -> str | None:
    """Returns the first pin of what `pintally top` has just shown; None if there is none."""
    from pintally.sinks.clickhouse.connection import Connection
    from pintally.sinks.reads.tops import read_top
    from pintally.sinks.reads.windows import Recent

    with Connection(load_settings().clickhouse, only_reads=True) as connection:
        pins = read_top(connection, Recent.LAST_HOUR, k=1).pins
    return str(pins[0].pin_id) if pins else None


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
    with local_engines(directory, report=lambda line: progress.print(line), brief=True) as ours:
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
