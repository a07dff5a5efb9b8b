"""`pintally up`: Kafka and ClickHouse as local processes, until Ctrl-C."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from streams.engines import EngineAddresses, local_engines
from streams.engines.announce import announced
from streams.settings import LOCAL_DIR, LOCAL_ENV

Port = Annotated[int | None, typer.Option(min=1, max=65535, show_default="last time's, else a free one")]


def up(
    directory: Annotated[
        Path, typer.Option(help="Data, logs and addresses. Commands look for them in .pintally.")
    ] = LOCAL_DIR,
    kafka_port: Port = None,
    clickhouse_port: Port = None,
    clickhouse_http_port: Port = None,
) -> None:
    """Run Kafka and ClickHouse here, without Docker, until Ctrl-C. Data is kept for the next time."""
    with stop_signals() as stopping:
        ports = (kafka_port, clickhouse_port, clickhouse_http_port)
        with (
            local_engines(directory, *ports, report=typer.echo) as engines,
            announced(engines.addresses, directory / LOCAL_ENV.name),
        ):
            typer.echo(describe(engines.addresses, directory))
            stopping.wait()
            typer.echo("Stopping ...")
        typer.echo("Stopped. The data is kept.")


def describe(addresses: EngineAddresses, directory: Path) -> str:
    """What a person needs to know to use the engines."""
    elsewhere = "" if directory == LOCAL_DIR else f"\n  From elsewhere: set -a; . {directory / LOCAL_ENV.name}; set +a"
    return (
        f"  Kafka       {addresses.kafka}\n"
        f"  ClickHouse  {addresses.clickhouse_host}:{addresses.clickhouse_port}, "
        f"http://{addresses.clickhouse_host}:{addresses.clickhouse_http_port}\n"
        f"  Data, logs  {directory}{elsewhere}\n"
        "Ctrl-C stops them."
    )


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGHUP set; SIGINT too. A second SIGINT is a KeyboardInterrupt as usual."""
    stopping = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if stopping.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopping.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stopping
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
