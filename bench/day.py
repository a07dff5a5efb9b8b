"""A day with an evening peak, simulated minute by minute from what the other benchmarks measured.

    python -m bench.day                             # 5,000,000 events a second over the day, 1.8 times that at 20:00
    python -m bench.day --workers 12 --shards 1     # with less than it needs: what falls behind, and how far

Reads steady.json, rows.json, scale.json, flushes.json and aggregates.json. Typed in are the day, what there is to carry
it, and how many writes Keeper takes for an insert: none of these is a measurement of ours. `bench.day_limits` has what
each part carries, and what to do when one gives.

The model: demand follows a cosine over the day. Sources are independent, so workers share it equally. A worker's cost
an event is that of the highest measured rate at or below its own. A flush takes `a + b * rows`, from the two sizes that
were measured; one is in flight, so its interval grows where it takes longer. What is not counted waits in Kafka.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from bench.day_costs import HOURS, PEAK_HOUR, Costs, Plan, costs_of
from bench.day_limits import first_to_give, limits, loads, table
from bench.figures import RESULTS, quantity


@dataclass(frozen=True, slots=True)
class Minute:
    """What a minute is like."""

    demand: float  # events a second
    counted: float  # events a second
    waits: int  # events in Kafka
    interval: float  # seconds between flushes of a worker
    flush: float  # seconds
    behind: float  # seconds from send to visible, at most


def carried(plan: Plan, costs: Costs, demand: float) -> tuple[float, float, float]:
    """Events a second that are counted, seconds between flushes, and seconds of a flush, if so many are there."""
    share = demand / plan.workers
    servers = 1e6 * plan.shards * plan.server_cores / costs.clickhouse_us(share)
    share = min(share, 1e6 / costs.worker_us(share), servers / plan.workers)
    rows = share * costs.at(share).rows  # a second
    busy = costs.row_seconds * rows
    if busy >= 1:  # rows come faster than they are written
        share, busy = share * 0.99 / busy, 0.99
    interval = max(plan.flush_seconds, costs.flush_seconds / (1 - busy))
    return share * plan.workers, interval, costs.flush_seconds + busy * interval


def simulate(plan: Plan, costs: Costs) -> list[Minute]:
    """Each minute of two days, of which the second is returned: what waits from the first evening is in it."""
    waits, day = 0, []
    for minute in range(2 * HOURS * 60):
        demand = plan.demand(minute)
        counted, interval, flush = carried(plan, costs, demand + waits / 60)
        waits = max(0, round(waits + 60 * (demand - counted)))  # whole events
        day.append(Minute(demand, counted, waits, interval, flush, waits / counted + interval + flush))
    return day[HOURS * 60 :]


def planned(plan: Plan, costs: Costs) -> Plan:
    """The same with as many workers, shards and partitions as the peak takes where none are given (0)."""
    top = plan.rate * plan.peak
    best = costs.rates[-1]
    workers = plan.workers or math.ceil(top * best.worker_us * costs.more_of_shards / 1e6 / plan.used)
    while not plan.workers and top / workers * costs.worker_us(top / workers) / 1e6 > plan.used:
        workers += 1
    return replace(plan, workers=workers, partitions=plan.partitions or 4 * workers)


def day(
    rate: Annotated[float, typer.Option(min=1000, help="Events a second, over the day.")] = 5_000_000,
    peak: Annotated[float, typer.Option(min=1, max=2, help="Times that in the evening.")] = 1.8,
    workers: Annotated[int, typer.Option(min=0, help="0: as many as the peak takes.")] = 0,
    shards: Annotated[int, typer.Option(min=1, max=3, help="Servers of ClickHouse that share the pins.")] = 3,
    partitions: Annotated[int, typer.Option(min=0, help="Of all topics; 0: four for each worker.")] = 0,
    flush_seconds: Annotated[float, typer.Option(min=0.1, help="Between flushes of a worker.")] = 1.0,
    server_cores: Annotated[float, typer.Option(min=1, help="Of each server of ClickHouse.")] = 32,
    used: Annotated[float, typer.Option(min=0.05, max=1, help="Share of a core that is to be used.")] = 0.6,
    keeper_writes: Annotated[float, typer.Option(min=0, help="Of an insert into a replicated table.")] = 10,
    results: Annotated[Path, typer.Option(help="Folder with what was measured.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Read, simulate, write day.json and day.md, print."""
    costs = costs_of(results, shards)
    asked = Plan(rate, peak, workers, shards, partitions, flush_seconds, server_cores, used, keeper_writes)
    plan = planned(asked, costs)
    minutes = simulate(plan, costs)
    text = json.dumps({"plan": asdict(plan), "hours": [asdict(each) for each in minutes[::60]]}, indent=1)
    (results / "day.json").write_text(text + "\n")
    (results / "day.md").write_text(page(plan, costs, minutes))
    typer.echo(text if as_json else page(plan, costs, minutes), nl=False)


def page(plan: Plan, costs: Costs, minutes: Sequence[Minute]) -> str:
    """What gives first, what servers and Kafka must take, then the hours of the day."""
    carries = limits(plan, costs)
    worst = max(minutes, key=lambda each: each.behind)
    lines = [
        f"{quantity(plan.rate)} events a second over the day, {quantity(plan.rate * plan.peak)} at {PEAK_HOUR}:00; "
        f"{plan.workers} workers, {plan.partitions} partitions, {plan.shards} shards of {quantity(plan.server_cores)} "
        f"cores, a flush every {quantity(plan.flush_seconds)} s. At most {quantity(worst.waits)} events wait, and "
        f"{quantity(worst.behind)} s pass from send to visible.",
        "",
        first_to_give(carries),
        "",
        table(carries),
        "",
        "How much of these a server, Keeper or Kafka takes was not measured:",
        "",
        "| At the peak | |",
        "|---|---|",
        *(f"| {name} | {quantity(value)} {unit} |" for name, value, unit in loads(plan, costs)),
        "",
        "| Hour | events/s | counted/s | wait in Kafka | s between flushes | s a flush | s to visible, at most |",
        "|---|---|---|---|---|---|---|",
        *(row(minute // 60, minutes[minute]) for minute in range(0, len(minutes), 180)),
    ]
    return "\n".join([*lines, ""])


def row(hour: int, at: Minute) -> str:
    """One hour."""
    return f"| {hour}:00 | {' | '.join(quantity(value) for value in asdict(at).values())} |"


if __name__ == "__main__":
    typer.run(day)
