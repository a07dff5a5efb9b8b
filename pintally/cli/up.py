"""`pintally up`: Kafka and ClickHouse as local processes, until Ctrl-C."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import Annotated

import typer

from pintally.streams.settings import LOCAL_DIR, LOCAL_ENV
from pintally.tools.engines import EngineAddresses, local_engines
from pintally.tools.engines.announce import announced

Port = Annotated[int | None, typer.Option(min=1, max=65535, show_default="the last one, else a free one")]


def up(
    directory: Annotated[
        Path, typer.Option(help="Folder for data, logs and addresses. Other commands look for them in .pintally.")
    ] = LOCAL_DIR,
    kafka_port: Port = None,
    clickhouse_port: Port = None,
    clickhouse_http_port: Port = None,
) -> None:
    """Run Kafka and ClickHouse on this machine, without Docker, until stopped.

    Data is kept for the next start. Other commands find these engines if they run in the same folder.

    Example: pintally up --kafka-port 9092
    """
    ports = (kafka_port, clickhouse_port, clickhouse_http_port)
    with (
        contextlib.suppress(KeyboardInterrupt),
        interrupted_by_signals(),
        local_engines(directory, *ports, report=typer.echo) as engines,
        announced(engines.addresses, directory / LOCAL_ENV.name),
    ):
        typer.echo(describe(engines.addresses, directory))
        signal.pause()
    typer.echo("Stopped. The data is kept.")


def describe(addresses: EngineAddresses, directory: Path) -> str:
    """Returns the addresses of the engines, and how to use them, as text."""
    file = quote(str(directory / LOCAL_ENV.name))
    elsewhere = "" if directory == LOCAL_DIR else f"\n  From elsewhere: set -a; . {file}; set +a"
    return (
        f"  Kafka       {addresses.kafka}\n"
        f"  ClickHouse  {addresses.clickhouse_host}:{addresses.clickhouse_port}, "
        f"http://{addresses.clickhouse_host}:{addresses.clickhouse_http_port}\n"
        f"  Data, logs  {directory}{elsewhere}\n"
        "Ctrl-C stops them."
    )


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does; further signals are ignored until it has stopped."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        typer.echo("Stopping ...")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
