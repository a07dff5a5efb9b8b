"""How soon `experiment_results` of a week answers, from cells and from sealed hours.

    python -m bench.experiments               # 7,741,440 cells of one experiment, as many of 20 others together
    python -m bench.experiments --quick

The tables are those that `pintally migrate` makes. Cells as workers write them are generated in ClickHouse: a week of
hours, the last one not sealed; one experiment of five arms whose cells of each hour are of twelve slices, and twenty of
three arms. Asked is first while every hour is open, which is what readers paid before hours were sealed by arm. Then
the product's own sealing runs, which checks every sum, and the same is asked again: the answers must be equal.
"""

import time
import uuid
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bench.asking import Limits, Reader, keep, timed
from bench.engines import open_engines
from bench.figures import RESULTS, Kept, kept
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.migrate import migrate
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.sinks.reads.experiments import read_results

HOUR: Final = 3600
HOURS, QUICK_HOURS = 168, 24
LARGE, OTHERS, SLICES = "large", 20, 12  # the experiment that is asked; how many others; slices of an hour
TIMES, OPEN_TIMES = 20, 5
ANSWER_MS: Final = 300
TIMEOUT_SECONDS: Final = 900

# Every experiment event is an event of a pin too: sealing asks the cells of pins which hours there are.
PINS: Final = """
INSERT INTO pin_minutes (source, slice_block, arrived_at, action, minute, pin_id, surface, platform, events, version)
SELECT 1, 1, hour, 1, hour, 1, 'unknown', 'unknown', 1, 1
FROM (SELECT toDateTime({first} + number * 3600, 'UTC') AS hour FROM numbers({hours}))
"""
CELLS: Final = """
INSERT INTO experiment_cells
    (source, slice_block, arrived_at, action, hour, experiment, arm, bucket, events, trusted, version)
SELECT 1 + action, slice, hour, action, hour, '{experiment}', concat('arm ', toString(arm)), bucket,
    1 + sipHash64(bucket, action, slice, hour, arm) % 9 AS n, n, 1
FROM (SELECT toDateTime({first} + number * 3600, 'UTC') AS hour FROM numbers({hours}))
ARRAY JOIN range(1, 4) AS action
ARRAY JOIN range({arms}) AS arm
ARRAY JOIN range({slices}) AS slice
ARRAY JOIN range(256) AS bucket
"""
SIZE: Final = """
SELECT sum(rows), sum(bytes_on_disk) FROM system.parts
WHERE active AND database = currentDatabase() AND table = '{}'
"""


def experiments(
    quick: Annotated[bool, typer.Option("--quick", help="A day instead of a week.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for experiments.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Fill, ask, seal, ask again, print."""
    hours = QUICK_HOURS if quick else HOURS
    with open_engines() as engines:
        settings = engines.settings.changed(clickhouse_database=f"bench_{uuid.uuid4().hex[:8]}")
        migrate(settings.clickhouse)
        with Connection(settings.clickhouse, TIMEOUT_SECONDS) as connection:
            try:
                with kept("experiments", settings, into, as_json, {"hours": hours, "others": OTHERS}) as found:
                    measure(Reader(connection, engines.clickhouse_pid), settings.clickhouse, hours, found)
            finally:
                connection.execute(f"DROP DATABASE {settings.clickhouse.database} SYNC")


def measure(reader: Reader, address: Any, hours: int, found: Kept) -> None:
    """All figures."""
    until = int(time.time()) // HOUR * HOUR - HOUR  # an hour that ended an hour ago is not final
    first = until - (hours - 1) * HOUR
    fill(reader.connection, first, hours)
    size(reader.connection, "experiment_cells", found)
    ask = partial(read_results, reader.connection, LARGE, first, until + HOUR)
    before = ask()
    keep(found, "a week from cells, while all hours are open", timed(reader, [ask] * OPEN_TIMES, 1), Limits(), True)
    cpu, began = reader.cpu_seconds(), time.monotonic()
    result = seal(address, until, timeout_seconds=TIMEOUT_SECONDS)
    found.add("sealing, per hour of 25,000 to 50,000 cells of pins and arms", (time.monotonic() - began) / hours, "s")
    found.add("sealing, per hour, CPU of ClickHouse", (reader.cpu_seconds() - cpu) / hours, "s")
    if result.sealed_until != until:
        raise RuntimeError(f"sealed until {result.sealed_until}, not {until}")
    size(reader.connection, "experiment_hours", found)
    keep(found, "a week from sealed hours", timed(reader, [ask] * TIMES), Limits(p95_ms=ANSWER_MS), True)
    if str(ask()) != str(before) or len(before) != 5 * 8:
        raise RuntimeError("the answer from sealed hours is not that from cells")


def fill(connection: Connection, first: int, hours: int) -> None:
    """Cells of all experiments, day by day as they come."""
    connection.execute(PINS.format(first=first, hours=hours))
    for start in range(first, first + hours * HOUR, 24 * HOUR):
        some = min(24, (first + hours * HOUR - start) // HOUR)
        for experiment, arms, slices in ((LARGE, 5, SLICES), *((f"other {n}", 3, 1) for n in range(OTHERS))):
            connection.execute(CELLS.format(first=start, hours=some, experiment=experiment, arms=arms, slices=slices))


def size(connection: Connection, table: str, found: Kept) -> None:
    """Rows and bytes of a table."""
    rows, size_bytes = connection.one(SIZE.format(table))
    found.add(f"{table}: rows", rows, "rows")
    found.add(f"{table}: bytes a row", size_bytes / rows, "B")


if __name__ == "__main__":
    typer.run(experiments)
