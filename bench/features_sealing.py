"""What sealing for features costs: CPU of ClickHouse a bucket, an hour and a day, bytes, and parts as they come and go.

The product's own sealing is called once for each cut, as a worker's timer does every ten minutes. CPU is that of
ClickHouse meanwhile, so it holds the merges that run then; those of the last cuts are waited for.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from bench.asking import Reader
from bench.engines import say
from bench.features_world import BUCKET, DAY, HOUR, LATENESS, World
from bench.figures import Kept
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from pintally.sinks.clickhouse.sealing.seal import seal
from pintally.streams.settings import Settings

TIMEOUT_SECONDS = 900
CELLS, BUCKET_CPU_SECONDS = 400_000, 1.0
PINS, BASE_CPU_SECONDS = 16_000_000, 60.0
FLAT = 1.25
TABLES = {  # and the time by which a row belongs to a day
    "pin_tiles": "window_start",
    "pin_corrections": "window_start",
    "pin_hours_by_pin": "window_start",
    "pin_base": "day",
    "hour_tops": "window_start",
    "tile_tops": "arrived_at",
}
OF_PARTS = "FROM system.parts WHERE active AND database = currentDatabase() AND table IN %(tables)s"
PARTS, SIZE = f"SELECT count() {OF_PARTS}", f"SELECT sum(rows), sum(bytes_on_disk) {OF_PARTS}"


@dataclass(frozen=True, slots=True)
class Pass:
    """One call of sealing, for one cut."""

    cut: int
    cpu_seconds: float
    seconds: float
    parts: int  # of all TABLES, after it

    @property
    def completes_an_hour(self) -> bool:
        """Whether an hour became complete at the cut."""
        return self.cut % HOUR == 0

    @property
    def begins_a_day(self) -> bool:
        """Whether the base of a day was made."""
        return self.cut % DAY == LATENESS


def measure_sealing(reader: Reader, settings: Settings, world: World, found: Kept) -> None:
    """Seal all; the figures."""
    settle(reader)
    began = reader.cpu_seconds()
    seal(settings.clickhouse, world.now - LATENESS, timeout_seconds=TIMEOUT_SECONDS)
    settle(reader)
    hours = (world.now - world.first) / HOUR
    found.add("sealing of final hours and days, an hour of events: CPU", (reader.cpu_seconds() - began) / hours, "s")
    began = reader.cpu_seconds()
    passes = list(seal_all(reader, settings, world))
    settle(reader)
    together = reader.cpu_seconds() - began
    of_passes(reader, passes, together, found)
    of_parts(passes, world, found)
    of_tables(reader, world, found)
    backdate(reader)


def seal_all(reader: Reader, settings: Settings, world: World) -> Iterator[Pass]:
    """Cut by cut; those of hours without cells together with the next one."""
    for cut in range(world.first + BUCKET, world.cut + 1, BUCKET):
        if (cut - BUCKET) % DAY < world.busy_from and cut % DAY != LATENESS:
            continue
        cpu, began = reader.cpu_seconds(), time.perf_counter()
        sealed = seal_cuts(settings.clickhouse, cut, LATENESS, timeout_seconds=TIMEOUT_SECONDS)
        took = time.perf_counter() - began
        if sealed.newest != cut:
            raise RuntimeError(f"the cut {cut} was not sealed: {sealed}")
        yield Pass(cut, reader.cpu_seconds() - cpu, took, parts(reader))
        if cut % (4 * HOUR) == 0:
            say(f"sealed {(cut - world.first) // HOUR} hours of {(world.cut - world.first) // HOUR}")


def of_passes(reader: Reader, passes: list[Pass], together: float, found: Kept) -> None:
    """CPU and time of a bucket, of an hour and of a day. An ordinary cut seals a bucket only."""
    cells = dict(reader.connection.rows("SELECT toUnixTimestamp(arrived_at), count() FROM pin_minutes GROUP BY 1"))
    plain = [each for each in passes if not each.completes_an_hour]
    hours = [each for each in passes if each.completes_an_hour and not each.begins_a_day]
    days = [each for each in passes if each.begins_a_day]
    in_cells = sum(cells.get(each.cut - BUCKET, 0) for each in plain)
    bucket = sum(each.cpu_seconds for each in plain) / len(plain)
    hour = sum(each.cpu_seconds for each in hours) / len(hours)
    name = f"sealing a bucket, {CELLS:,} cells: CPU"
    found.add(name, bucket * len(plain) / in_cells * CELLS, "s", at_most=BUCKET_CPU_SECONDS)
    found.add("sealing a bucket: cells, mean", in_cells / len(plain), "cells")
    found.add("sealing a bucket: time, median", median(each.seconds for each in plain), "s")
    found.add("sealing an hour by pin, with its tops: CPU beside the bucket's", hour - bucket, "s")
    pins = int(reader.connection.one("SELECT max(pins) FROM feature_seals WHERE kind = 'base'")[0])
    base = days[-1].cpu_seconds - hour
    found.add(f"sealing the base of a day, {PINS:,} pins: CPU", base / pins * PINS, "s", at_most=BASE_CPU_SECONDS)
    found.add("sealing the base of a day: pins", pins, "pins")
    found.add("sealing for features, merges included, an hour of events: CPU", together / len(passes) * 6, "s")


def of_parts(passes: list[Pass], world: World, found: Kept) -> None:
    """Parts over the buckets of today."""
    today = [each.parts for each in passes if each.cut > world.today + LATENESS]
    third = len(today) // 3
    middle, last = max(today[third : 2 * third]), max(today[2 * third :])
    found.add("active parts over a day of buckets, most", max(today), "parts")
    found.add("parts: most of the last third over most of the middle third", last / middle, "times", at_most=FLAT)
    found.samples["active parts after each cut of the day"] = list(today)


def of_tables(reader: Reader, world: World, found: Kept) -> None:
    """Rows of a day and bytes of each table. Of a base: that of today."""
    for table, column in TABLES.items():
        day = world.today if column == "day" else world.first
        sql = f"SELECT count() FROM {table} WHERE {column} >= {day} AND {column} < {day + DAY}"
        rows = int(reader.connection.one(sql)[0])
        every, size = reader.connection.one(SIZE, tables=[table])
        found.add(f"{table}: rows a day", rows, "rows")
        found.add(f"{table}: bytes a row", size / max(every, 1), "B")
        found.add(f"{table}: a day", size / max(every, 1) * rows / 1e6, "MB")


def parts(reader: Reader) -> int:
    """Active parts of all these tables."""
    return int(reader.connection.one(PARTS, tables=list(TABLES))[0])


def settle(reader: Reader) -> None:
    """Wait until nothing is merged any more."""
    while reader.connection.one("SELECT count() FROM system.merges")[0]:
        time.sleep(0.2)


def backdate(reader: Reader) -> None:
    """Let each cut have been published a few seconds after it closed, so that the past can be asked for."""
    rows = reader.connection.rows("SELECT cut, hours_until, seal FROM cuts ORDER BY cut")
    reader.connection.execute("TRUNCATE TABLE cuts")
    columns = ("cut", "hours_until", "published_at", "seal")
    dated = [
        (cut, until, cut + timedelta(seconds=3 + number % 20), seal) for number, (cut, until, seal) in enumerate(rows)
    ]
    reader.connection.insert("cuts", columns, dated)
