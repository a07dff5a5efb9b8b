"""What counting costs ClickHouse: rows written an event, bytes an event on disk, and parts over a day of flushes.

    python -m bench.rows
    python -m bench.rows --quick

Near the head: steady traffic (see steady.py). In catch-up: a backlog is drained. Rows are what the server says was
inserted, ledger rows and all; bytes are those of the active parts of pin_minutes and the ledger, as they are right
after and when all has been merged. Both are counted twice, once with pins alone: surfaces and platforms make more rows
where the events of a pin and minute in a flush have several of them.

A day in short: flushes of twelve sources, written through the product's own sink, one after the other without the
second between them, so that merges have less time than they would have. Each flush is a second of event time later.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Annotated
from uuid import UUID

import numpy as np
import typer
from numpy.random import Generator, default_rng

from bench.counting import Counting, counting, counting_on, own_topics
from bench.engines import Engines, open_engines, say
from bench.figures import RESULTS, Kept, kept
from bench.live import Mix
from bench.scale import drained_by, fill
from bench.steady import Ran, run_at
from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.label_column import UNKNOWN, LabelColumn
from pintally.schemas.outcomes import Outcomes
from pintally.schemas.rows import LedgerRow, version_of
from pintally.schemas.sources import Source
from pintally.sinks.clickhouse.sink import ClickHouseSink

RATES = (1_000, 10_000, 50_000)
SOURCES, ROWS_A_FLUSH = 12, 1_000
LOOK_EVERY = 200  # flushes
FLAT = 1.25
MORE_PERCENT = 25.0  # rows, by surface and platform
PINS_ALONE = {"breakdown": False, "trusted_cap": 0}
TABLES = ("pin_minutes", "ingest_ledger")
PARTS = "SELECT count() FROM system.parts WHERE active AND database = '{database}' AND table IN {tables}"
BYTES = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{database}' AND table IN {tables}"


def rows(
    backlog: Annotated[int, typer.Option(min=1000, help="Events to catch up with.")] = 3_000_000,
    flushes: Annotated[int, typer.Option(min=600, help="Of the day in short; a whole one has 86,400.")] = 20_000,
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for rows.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Measure, print."""
    seconds = 8.0 if quick else 20.0
    backlog, flushes = (300_000, 600) if quick else (backlog, flushes)
    with open_engines() as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        parameters = {
            "seconds at each rate": seconds,
            "backlog": backlog,
            "flushes": flushes,
            "rows a flush": ROWS_A_FLUSH,
        }
        with kept("rows", engines.settings, into, as_json, parameters) as found:
            for rate in RATES[1:2] if quick else RATES:
                near_head(engines, Path(folder), rate, seconds, found)
            catch_up(engines, Path(folder), backlog, found)
            day(engines, Path(folder), flushes, found)


def near_head(engines: Engines, folder: Path, rate: int, seconds: float, found: Kept) -> None:
    """Steady traffic."""
    name = f"near the head at {rate:,} events/s"
    with counting(engines, folder, **PINS_ALONE) as own:
        alone = inserted(run_at(own, rate, seconds))
    with counting(engines, folder) as own:
        add_rows(found, name, inserted(run_at(own, rate, seconds)), alone)
        on_disk(own, name, own.landed(), found)


def inserted(ran: Ran) -> float:
    """Rows an event."""
    return ran.rows / ran.events


def add_rows(found: Kept, name: str, rows: float, alone: float) -> None:
    """Rows an event, and how many more that are than with pins alone."""
    found.add(f"{name}: rows inserted an event", rows, "rows")
    more = (rows / alone - 1) * 100
    found.add(f"{name}: more rows by surface and platform", more, "%", at_most=MORE_PERCENT)


def catch_up(engines: Engines, folder: Path, backlog: int, found: Kept) -> None:
    """A backlog."""
    say(f"filling {backlog:,} records ...")
    with own_topics(engines) as topics:
        sent = asyncio.run(fill(topics, Mix(), backlog))
        found.add("Kafka: bytes a record over the wire, not compressed", sent.bytes / sent.records, "B")
        with counting_on(engines, folder, topics.changed(**PINS_ALONE)) as own:
            alone = drained(own, backlog)
        with counting_on(engines, folder, topics) as own:
            add_rows(found, "catch-up", drained(own, backlog), alone)
            on_disk(own, "catch-up", backlog, found)


def drained(own: Counting, backlog: int) -> float:
    """Rows an event."""
    before = own.inserted()
    own.start()
    drained_by(own, backlog)
    return (own.inserted() - before) / backlog


def on_disk(own: Counting, name: str, events: int, found: Kept) -> None:
    """Bytes of the tables, as they are and merged."""
    found.add(f"{name}: bytes on disk an event, right after", of_parts(own, BYTES) / events, "B")
    for table in TABLES:
        own.clickhouse.run(f"OPTIMIZE TABLE {table} FINAL")
    found.add(f"{name}: bytes on disk an event, merged", of_parts(own, BYTES) / events, "B")


def of_parts(own: Counting, query: str) -> int:
    """What system.parts says of the tables that flushes write to."""
    return own.clickhouse.number(query.format(database=own.settings.clickhouse.database, tables=TABLES))


def day(engines: Engines, folder: Path, flushes: int, found: Kept) -> None:
    """Flushes as fast as they go."""
    say(f"{flushes:,} flushes ...")
    rng, parts, took = default_rng(1), [], time.monotonic()
    with counting(engines, folder) as own:
        sink, now = ClickHouseSink(own.settings.clickhouse), int(time.time())
        sources = [Source(f"topic{number}", UUID(int=1), 0) for number in range(SOURCES)]
        for flush in range(flushes):
            with sink.session() as session:
                session.write_cells(cells(rng, now - flushes + flush))
                session.write_ledger([ledger_row(source, now - flushes + flush) for source in sources])
            if flush % LOOK_EVERY == LOOK_EVERY - 1:
                parts.append([flush + 1, of_parts(own, PARTS)])
    third = len(parts) // 3
    middle, last = (max(count for _, count in some) for some in (parts[third : 2 * third], parts[2 * third :]))
    found.add("a day in short: flushes a second", flushes / (time.monotonic() - took), "flushes/s")
    found.add("a day in short: active parts, most", max(count for _, count in parts), "parts")
    found.add(
        "a day in short: most of the last third over most of the middle third", last / middle, "times", at_most=FLAT
    )
    found.samples["flushes, active parts"] = parts


def ledger_row(source: Source, at: int) -> LedgerRow:
    """What a flush at this moment (seconds since 1970) records of a source whose slices are ten minutes."""
    arrived_at, events = at // 600 * 600, at % 600 + 1
    return LedgerRow(
        source,
        arrived_at // 600,
        arrived_at,
        arrived_at,
        arrived_at * 1000,
        at,
        at * 1000,
        Outcomes(counted=events),
        events,
        1,
        "bench",
    )


def cells(rng: Generator, at: int) -> PinMinuteRows:
    """The cells of one flush at this moment (seconds since 1970): most of this minute, some of the last ones."""
    n = ROWS_A_FLUSH
    minutes = (at - rng.exponential(20, n).astype(np.int64)) // 60 * 60
    actions = rng.integers(1, 4, n)
    arrived_at = at // 600 * 600
    return PinMinuteRows(
        source=rng.integers(0, SOURCES, n).astype(np.uint64),
        slice_block=np.full(n, arrived_at // 600, np.uint32),
        arrived_at=np.full(n, arrived_at, np.uint32),
        action=actions.astype(np.uint8),
        minute=minutes.astype(np.uint32),
        pin_id=Mix().draw(rng, n),
        surface=LabelColumn.repeat(UNKNOWN, n),
        platform=LabelColumn.repeat(UNKNOWN, n),
        events=np.ones(n, np.uint64),
        trusted=np.ones(n, np.uint64),
        version=np.full(n, version_of(1, at), np.uint64),
    )


if __name__ == "__main__":
    typer.run(rows)
