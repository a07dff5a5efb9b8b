"""What it takes to count 10,000 to 5,000,000 events a second, from what the other benchmarks measured.

    python -m bench.capacity
    python -m bench.capacity --cpu-hour 0.04 --gb-month 0.08

Reads steady.json and rows.json; nothing is typed in but the rates, the share of a core that is to be used, how long
things are kept, and prices. Cost an event is that of the highest measured rate at or below the one asked for (of the
lowest measured rate if there is none): it falls with the rate, so this is on the safe side. Rows and bytes an event
likewise.

What it does not know: network between machines, replicas, TLS, compression, and merges of a table much larger than
memory. It grows linearly with the rate because sources are independent of one another; bench/scale.py measures how far
that holds.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from bench.figures import RESULTS, Kept, quantity
from bench.rows import RATES as MEASURED_ROWS
from bench.steady import RATES as MEASURED

RATES = (10_000, 100_000, 1_000_000, 5_000_000)
DAY_SECONDS = 86_400
BILLION, GB = 1e9, 1e9


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, an event."""

    rate: int
    worker_us: float
    clickhouse_us: float | None
    kafka_us: float | None
    rows: float
    disk_bytes: float  # in ClickHouse, merged
    record_bytes: float  # in Kafka


@dataclass(frozen=True, slots=True)
class Need:
    """What one rate takes."""

    rate: int  # events a second
    measured_at: int  # events a second
    worker_cores: float
    workers: int
    clickhouse_cores: float | None
    rows_a_second: float
    disk_gb_a_day: float
    disk_gb_kept: float  # pin_minutes, as long as it is kept
    kafka_in_mb: float  # a second, one replica
    kafka_out_mb: float  # a second, to workers


@dataclass(frozen=True, slots=True)
class Cost:
    """A billion events."""

    measured_at: int
    worker_cpu_hours: float
    clickhouse_cpu_hours: float | None
    kafka_cpu_hours: float | None
    clickhouse_gb: float
    kafka_gb: float
    price: float | None


@dataclass(frozen=True, slots=True)
class Prices:
    """What a core costs an hour, and a GB on disk a month of 30 days; how long things are kept, in days."""

    cpu_hour: float
    gb_month: float
    minutes_days: float
    kafka_days: float


def capacity(
    used: Annotated[float, typer.Option(min=0.05, max=1, help="Share of a core that a worker is to use.")] = 0.6,
    kept_days: Annotated[float, typer.Option(min=1, help="How long minutes are kept.")] = 90,
    kafka_days: Annotated[float, typer.Option(min=0, help="How long Kafka keeps the log, for the price.")] = 7,
    cpu_hour: Annotated[float | None, typer.Option(help="Price of a core for an hour.")] = None,
    gb_month: Annotated[float | None, typer.Option(help="Price of a GB on disk for a month.")] = None,
    results: Annotated[Path, typer.Option(help="Folder with steady.json and rows.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Read, compute, write capacity.json and capacity.md, print."""
    steady, rows = (Kept.read(results, name) for name in ("steady", "rows"))
    prices = None if cpu_hour is None or gb_month is None else Prices(cpu_hour, gb_month, kept_days, kafka_days)
    measured = [of_rate(steady, rows, rate) for rate in MEASURED]
    needs = [need(rate, nearest(measured, rate), used, kept_days) for rate in RATES]
    costs = [cost(each, prices) for each in measured]
    whole = {"used": used, "kept_days": kept_days, "commit": steady.versions["commit"], "machine": steady.machine}
    text = json.dumps(whole | {"needs": [asdict(n) for n in needs], "costs": [asdict(c) for c in costs]}, indent=1)
    (results / "capacity.json").write_text(text + "\n")
    (results / "capacity.md").write_text(tables(needs, costs, used, kept_days))
    typer.echo(text if as_json else tables(needs, costs, used, kept_days), nl=False)


def of_rate(steady: Kept, rows: Kept, rate: int) -> Measured:
    """What was measured at one rate. Raises KeyError if it was not."""
    name = f"at {rate:,} events/s"

    def engine(which: str) -> float | None:
        return steady.find(f"{name}: {which}, an event")

    return Measured(
        rate,
        steady.value(f"{name}: worker, an event"),
        engine("ClickHouse"),
        engine("Kafka"),
        steady.value(f"{name}: rows inserted, an event"),
        bytes_at(rows, rate),
        rows.value("Kafka: bytes a record over the wire, not compressed"),
    )


def bytes_at(rows: Kept, rate: int) -> float:
    """Bytes an event on disk, merged, of the highest rate at or below `rate` that rows.py measured."""
    found = {
        each: value
        for each in MEASURED_ROWS
        if (value := rows.find(f"near the head at {each:,} events/s: bytes on disk an event, merged")) is not None
    }
    if not found:
        raise KeyError("rows.json has no bytes on disk an event")
    return found[max((each for each in found if each <= rate), default=min(found))]


def nearest(measured: list[Measured], rate: int) -> Measured:
    """The highest rate at or below `rate`, else the lowest there is."""
    return max((each for each in measured if each.rate <= rate), key=lambda each: each.rate, default=measured[0])


def need(rate: int, at: Measured, used: float, kept_days: float) -> Need:
    """What a rate takes if an event costs what it cost at the measured one."""
    cores = rate * at.worker_us / 1e6
    disk = rate * at.disk_bytes * DAY_SECONDS / GB
    kafka = rate * at.record_bytes / 1e6
    clickhouse = None if at.clickhouse_us is None else rate * at.clickhouse_us / 1e6
    return Need(
        rate, at.rate, cores, math.ceil(cores / used), clickhouse, rate * at.rows, disk, disk * kept_days, kafka, kafka
    )  # fmt: skip


def cost(at: Measured, prices: Prices | None) -> Cost:
    """A billion events at a measured rate."""

    def hours(us: float | None) -> float | None:
        return None if us is None else BILLION * us / 1e6 / 3600

    worker = hours(at.worker_us) or 0.0
    clickhouse, kafka = hours(at.clickhouse_us), hours(at.kafka_us)
    clickhouse_gb, kafka_gb = BILLION * at.disk_bytes / GB, BILLION * at.record_bytes / GB
    price = None
    if prices:
        months = (clickhouse_gb * prices.minutes_days + kafka_gb * prices.kafka_days) / 30
        price = prices.cpu_hour * (worker + (clickhouse or 0.0) + (kafka or 0.0)) + prices.gb_month * months
    return Cost(at.rate, worker, clickhouse, kafka, clickhouse_gb, kafka_gb, price)


def tables(needs: list[Need], costs: list[Cost], used: float, kept_days: float) -> str:
    """Both, in Markdown."""
    lines = [
        f"Workers at {used:.0%} of a core each; minutes kept for {kept_days:.0f} days; one replica, not compressed.",
        "",
        "| Events/s | an event costs as at | cores of workers | workers | cores of ClickHouse | rows/s | "
        "disk, GB a day | disk, GB kept | Kafka in, MB/s | Kafka out, MB/s |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(row(asdict(each)) for each in needs),
        "",
        "| A billion events at, events/s | worker, CPU-hours | ClickHouse, CPU-hours | Kafka, CPU-hours | "
        "ClickHouse, GB | Kafka, GB | price |",
        "|---|---|---|---|---|---|---|",
        *(row(asdict(each)) for each in costs),
    ]
    return "\n".join([*lines, ""])


def row(values: dict[str, float | None]) -> str:
    """One line of a table; what is not known is left empty."""
    return f"| {' | '.join('' if value is None else quantity(value) for value in values.values())} |"


if __name__ == "__main__":
    typer.run(capacity)
