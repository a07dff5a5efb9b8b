"""`pintally up`: Kafka and ClickHouse as local processes, until Ctrl-C."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import Annotated

import typer

from pintally.streams.settings import LOCAL_DIR, LOCAL_ENV
from pintally.tools.engines import EngineAddresses, local_engines
from pintally.tools.engines.announce import announced
from pintally.tools.engines.local_prometheus import local_prometheus, needed_prometheus

Port = Annotated[int | None, typer.Option(min=1, max=65535, show_default="the last one, else a free one")]

Brokers = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default="as many as last time, else 1",
        help="1, or 3 of which any one may be lost: topics get 3 replicas, and records are acknowledged by 2.",
    ),
]

Shards = Annotated[
    int | None,
    typer.Option(
        min=1,
        show_default="as many as last time, else 1",
        help="1 to 3 servers of ClickHouse, each with the counts of other pins.",
    ),
]


class Extra(StrEnum):
    """What runs beside the engines if asked for."""

    PROMETHEUS = "prometheus"


With = Annotated[
    list[Extra] | None,
    typer.Option("--with", help="Also start this: Prometheus scrapes the workers and `pintally serve` of this folder."),
]


def up(
    directory: Annotated[
        Path, typer.Option(help="Folder for data, logs and addresses. Other commands look for them in .pintally.")
    ] = LOCAL_DIR,
    kafka_brokers: Brokers = None,
    clickhouse_shards: Shards = None,
    kafka_port: Port = None,
    clickhouse_port: Port = None,
    clickhouse_http_port: Port = None,
    with_: With = None,
) -> None:
    """Run Kafka and ClickHouse on this machine, without Docker, until stopped.

    Data is kept for the next start. Other commands find these engines if they run in the same folder.

    Example: pintally up --kafka-port 9092 --with prometheus
    """
    ports = (kafka_port, clickhouse_port, clickhouse_http_port)
    check_found(with_)
    with (
        contextlib.suppress(KeyboardInterrupt),
        interrupted_by_signals(),
        local_engines(
            directory, *ports, report=typer.echo, kafka_brokers=kafka_brokers, clickhouse_shards=clickhouse_shards
        ) as engines,
        announced(engines.addresses, directory / LOCAL_ENV.name),
        monitoring(LOCAL_DIR / "prometheus", with_, typer.echo) as prometheus,
    ):
        typer.echo(describe(engines.addresses, directory, prometheus))
        signal.pause()
    typer.echo("Stopped. The data is kept.")


def check_found(wanted: list[Extra] | None) -> None:
    """Before anything starts: raises PintallyError, with how to get it, if this machine lacks what is asked for."""
    if wanted:
        needed_prometheus()


@contextlib.contextmanager
def monitoring(folder: Path, wanted: list[Extra] | None, report: Callable[[str], None]) -> Iterator[str | None]:
    """Yields the address of a Prometheus that scrapes what runs here, if it is asked for. `folder` is for its data."""
    if not wanted:
        yield None
        return
    with local_prometheus(folder, report) as address:
        yield address


def describe(addresses: EngineAddresses, directory: Path, prometheus: str | None = None) -> str:
    """Returns the addresses of the engines, and how to use them, as text."""
    asks = f"\n  Prometheus  {prometheus}, with the alerts" if prometheus else ""
    file = quote(str(directory / LOCAL_ENV.name))
    elsewhere = "" if directory == LOCAL_DIR else f"\n  From elsewhere: set -a; . {file}; set +a"
    shards = "".join(f"\n  Shard {n}     {_shown(each)}" for n, each in enumerate(addresses.other_shards, 1))
    return (
        f"  Kafka       {addresses.kafka}\n"
        f"  ClickHouse  {addresses.clickhouse_host}:{addresses.clickhouse_port}, "
        f"http://{addresses.clickhouse_host}:{addresses.clickhouse_http_port}{shards}\n"
        f"  Page        run `pintally serve` in this folder: it prints its address, with metrics at /metrics{asks}\n"
        f"  Data, logs  {directory}{elsewhere}\n"
        "Ctrl-C stops them."
    )


def _shown(shard: str) -> str:
    host, port, http_port = shard.rsplit(":", 2)
    return f"{host}:{port}, http://{host}:{http_port}"


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
