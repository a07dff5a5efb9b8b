"""How long a flush takes with 1, 2 and 3 servers of ClickHouse that share the pins.

    python -m bench.flushes                       # 200 flushes of each
    python -m bench.flushes --quick               # 20

A flush goes through the product's own sink: connect, read back, cells, ledger rows, to all servers. With several it is
taken side by side, as workers do it, and one server after the other. The ways and the numbers of servers take turns,
flush by flush, so that a disturbance of the machine falls on all. The servers share the machine's cores and its disk,
so on machines of their own several take less time than here.
"""

import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from numpy.random import Generator, default_rng

from bench.clickhouse import Clickhouse
from bench.engines import open_engines, with_shards
from bench.figures import RESULTS, Kept, kept, percentile
from bench.rows import ROWS_A_FLUSH, SOURCES, cells, ledger_row
from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.rows import StartRow
from pintally.schemas.shards import Place
from pintally.schemas.sources import Source
from pintally.sinks import shards as sharded
from pintally.sinks.base import Sink
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.shards import take_place
from pintally.streams.settings import Settings
from pintally.streams.worker.servers import servers_of, sink_of

MOST = 3
ROWS = (1_000, 100_000)  # a flush near the head, and one at the peak of `bench.day`
NAMED = [Source(f"topic{number}", UUID(int=1), 0) for number in range(SOURCES)]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Way:
    """How a flush is taken."""

    shards: int
    together: bool

    @property
    def name(self) -> str:
        """In words."""
        if self.shards == 1:
            return "1 shard"
        return f"{self.shards} shards, {'side by side' if self.together else 'one after the other'}"


WAYS = (Way(1, True), *(Way(shards, together) for shards in range(2, MOST + 1) for together in (True, False)))


def flushes(
    count: Annotated[int, typer.Option(min=5, help="Flushes of each size and way.")] = 200,
    quick: Annotated[bool, typer.Option("--quick", help="20 of each.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for flushes.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Measure, print."""
    count = 20 if quick else count
    with open_engines(shards=MOST) as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-"):
        parameters = {"flushes": count, "sources": SOURCES}
        with (
            kept("flushes", engines.settings, into, as_json, parameters) as found,
            sinks(engines.settings) as of_ways,
        ):
            for rows in ROWS:
                tell(found, rows, in_turns(of_ways, rows, count))


@contextmanager
def sinks(settings: Settings) -> Iterator[dict[int, Sink]]:
    """A sink over 1, 2 and 3 servers, each with tables of its own, where counting has begun."""
    with ExitStack() as stack:
        made = {}
        for shards in range(1, MOST + 1):
            mark = f"bench{uuid.uuid4().hex[:8]}"
            several = with_shards(settings, shards).changed(clickhouse_database=mark)
            for number, address in enumerate(several.clickhouse.shards):
                migrate(address)
                if shards > 1:
                    take_place(address, Place(number, shards))
                stack.callback(Clickhouse(several, mark, number).run, f"DROP DATABASE {mark} SYNC")
            made[shards] = sink_of(servers_of(several.clickhouse))
            begin(made[shards], several.rules.to_rules().to_json())
        yield made


def begin(sink: Sink, rules: str) -> None:
    """Start rows, which a flush reads back."""
    with sink.session() as session:
        session.write_starts([StartRow(source, 0, 0, 0, rules) for source in NAMED])


def in_turns(of_ways: dict[int, Sink], rows: int, count: int) -> dict[Way, list[float]]:
    """Seconds of each flush, by way; the first of each is left out."""
    rng, now, took = default_rng(1), int(time.time()), defaultdict[Way, list[float]](list)
    for flush in range(count + 1):
        for way in WAYS if flush % 2 else WAYS[::-1]:
            took[way].append(seconds_of(of_ways[way.shards], made_of(rng, rows, now + flush), now + flush, way))
    return {way: seconds[1:] for way, seconds in took.items()}


def made_of(rng: Generator, rows: int, at: int) -> PinMinuteRows:
    """The cells of one flush."""
    return PinMinuteRows.concat([cells(rng, at) for _ in range(rows // ROWS_A_FLUSH)])


def seconds_of(sink: Sink, rows: PinMinuteRows, at: int, way: Way) -> float:
    """One flush."""
    ledger = [ledger_row(source, at) for source in NAMED]
    with taken(sharded.side_by_side if way.together else one_after_the_other):
        began = time.monotonic()
        with sink.session() as session:
            session.read_back(NAMED)
            session.write_cells(rows)
            session.write_ledger(ledger)
        return time.monotonic() - began


@contextmanager
def taken(how: Callable[[Sequence[Callable[[], Any]]], list[Any]]) -> Iterator[None]:
    """Shards take steps so."""
    before = sharded.side_by_side
    sharded.side_by_side = how  # type: ignore[assignment] # of any answer
    try:
        yield
    finally:
        sharded.side_by_side = before


def one_after_the_other(steps: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """In place of `side_by_side`."""
    return [step() for step in steps]


def tell(found: Kept, rows: int, took: dict[Way, list[float]]) -> None:
    """Median and 95th percentile of each way, and how much longer than with one server."""
    alone = percentile(took[WAYS[0]], 0.5)
    for way, seconds in took.items():
        name = f"{way.name}, {rows:,} rows"
        found.add(f"{name}: p50", percentile(seconds, 0.5) * 1000, "ms")
        found.add(f"{name}: p95", percentile(seconds, 0.95) * 1000, "ms")
        if way.shards > 1:
            found.add(f"{name}: p50 over 1 shard", percentile(seconds, 0.5) / alone, "times")


if __name__ == "__main__":
    typer.run(flushes)
