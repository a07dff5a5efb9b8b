"""What a billion events cost each contestant in CPU, of all processes together, by results/peers.json.

A server that counts beside readers takes their CPU, so all is added up: the contestant's own process, the broker and
ClickHouse. Where ClickHouse itself consumes, its CPU is that of the contestant.
"""

from statistics import median

from bench.measured import Measured
from bench.outcome import Results
from bench.report import table

BILLION = 1e9
CEILING = "ceiling"  # in the title of those that count nothing, or do not recover
HEADINGS = ("A billion events", "own process", "ClickHouse", "broker", "together, CPU-hours", "times Pintally")


def section(found: Results, ours: str) -> str:
    """A row for each contestant that landed all counts, the cheapest first."""
    costs = {
        entry.title: [hours(runs, name) for name in ("cpu_seconds", "clickhouse_cpu_seconds", "kafka_cpu_seconds")]
        for entry in found.contestants
        if CEILING not in entry.title and (runs := found.of(entry.name)) and all(each.correct for each in runs)
    }
    if not costs:
        return ""
    title = next((entry.title for entry in found.contestants if entry.name == ours and entry.title in costs), None)
    rows = [
        [name, *(f"{each:.2f}" for each in parts), f"{sum(parts):.2f}", over(parts, costs[title]) if title else ""]
        for name, parts in sorted(costs.items(), key=lambda each: sum(each[1]))
    ]
    return table(HEADINGS, rows)


def hours(runs: list[Measured], field: str) -> float:
    """CPU-hours of one process for a billion events, median; 0 where it is that of the contestant itself."""
    known = [used / each.events for each in runs if (used := getattr(each, field)) is not None]
    return BILLION * median(known) / 3600 if known else 0.0


def over(parts: list[float], ours: list[float]) -> str:
    """How many times our cost."""
    return f"{sum(parts) / sum(ours):.1f}"
