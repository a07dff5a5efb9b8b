"""The Kafka and ClickHouse a benchmark runs against, with their process ids where they are ours."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pintally.streams.settings import Settings


@dataclass(frozen=True, slots=True)
class Engines:
    """Where the engines are; the ids are None for engines that somebody else runs."""

    settings: Settings  # those of all shards, where there are several servers of ClickHouse
    kafka_pid: int | None
    clickhouse_pid: int | None  # of the first server
    other_clickhouse_pids: tuple[int, ...] = ()


@contextmanager
def open_engines(data: Path | None = None, shards: int = 1) -> Iterator[Engines]:
    """The engines that PINTALLY_* variables name, else local ones that end with us; their data stays in `data`.

    `shards` is how many servers of ClickHouse are started; of those that variables name there are as many as there are.
    """
    if os.environ.get("PINTALLY_KAFKA_BOOTSTRAP_SERVERS") and os.environ.get("PINTALLY_CLICKHOUSE_HOST"):
        yield Engines(Settings.of(None), None, None)
        return
    from pintally.tools.engines import local_engines  # its packages are needed only here

    with ExitStack() as ends:
        folder = data or Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="pintally-bench-")))
        up = ends.enter_context(local_engines(folder, report=say, clickhouse_shards=shards))
        settings = Settings.of(None, **up.addresses.settings())
        others = tuple(server.pid for server in up.shards[1:] if server.pid)
        yield Engines(settings, up.kafka.pid, up.clickhouse.pid, others)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def with_shards(settings: Settings, shards: int) -> Settings:
    """The same with the first so many of its servers of ClickHouse."""
    others = settings.clickhouse.other_shards.split(",")[: shards - 1]
    return settings.changed(shards=shards, clickhouse_other_shards=",".join(others))
