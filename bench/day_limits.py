"""What each part of a plan carries, which of them gives first, and what to do then (see day.py)."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.day_costs import Costs, Plan
from bench.figures import quantity


@dataclass(frozen=True, slots=True)
class Limit:
    """One part: what it takes at the mean and at the peak of the day, and what there is."""

    part: str
    mean: float
    peak: float
    there_is: float
    unit: str
    remedy: str

    @property
    def share(self) -> float:
        """Of what there is, at the peak."""
        return self.peak / self.there_is


def limits(plan: Plan, costs: Costs) -> list[Limit]:
    """Every part, the one that gives first at the top. Parts without a limit of their own stand in `loads`."""
    mean, top = (of_rate(plan, costs, rate) for rate in (plan.rate, plan.rate * plan.peak))
    there_is = {
        "CPU of workers": (float(plan.workers), "cores", "More workers, at most as many as partitions."),
        "CPU of ClickHouse": (
            plan.shards * plan.server_cores, "cores", "More cores a server, or more shards (docs/cluster.md).",
        ),
        "a flush of a worker": (
            plan.flush_seconds, "s",
            "More workers; or a longer PINTALLY_FLUSH_INTERVAL_SECONDS: counts are visible later.",
        ),
        "partitions that workers can share": (
            float(plan.partitions), "partitions", "More partitions before more workers.",
        ),
    }  # fmt: skip
    found = [Limit(part, mean[part], top[part], *rest) for part, rest in there_is.items()]
    return sorted(found, key=lambda limit: -limit.share)


def of_rate(plan: Plan, costs: Costs, rate: float) -> dict[str, float]:
    """What each part takes at this rate, if nothing falls behind."""
    share = rate / plan.workers
    at = costs.at(share)
    rows = share * at.rows
    return {
        "CPU of workers": rate * costs.worker_us(share) / 1e6,
        "CPU of ClickHouse": rate * costs.clickhouse_us(share) / 1e6,
        "a flush of a worker": costs.flush_seconds + costs.row_seconds * rows * plan.flush_seconds,
        "partitions that workers can share": float(plan.workers),
    }


def loads(plan: Plan, costs: Costs) -> list[tuple[str, float, str]]:
    """What servers and Kafka must take at the peak; how much they can was not measured."""
    rate = plan.rate * plan.peak
    at = costs.at(rate / plan.workers)
    inserts = 2 * plan.workers / plan.flush_seconds  # cells and ledger rows, into each server
    return [
        ("rows into each server", rate * at.rows / plan.shards, "rows/s"),
        ("inserts into each server, each a part to merge", inserts, "inserts/s"),
        ("writes of Keeper, if tables are replicated", inserts * plan.shards * plan.keeper_writes, "writes/s"),
        ("Kafka, into topics and out to workers, not compressed", 2 * rate * at.record_bytes / 1e6, "MB/s"),
        ("Kafka, the busiest partition if pins are spread evenly", rate / plan.partitions, "events/s"),
    ]


def first_to_give(found: Sequence[Limit]) -> str:
    """One sentence."""
    first = found[0]
    enough = "It is enough" if first.share <= 1 else "It is not enough"
    return (
        f"{enough}. What gives first is {first.part}: {quantity(first.peak)} of {quantity(first.there_is)} "
        f"{first.unit} at the peak. {first.remedy}"
    )


def table(found: Sequence[Limit]) -> str:
    """In Markdown."""
    lines = [
        "| Part | at the mean | at the peak | there is | used at the peak | What to do |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.part} | {quantity(each.mean)} {each.unit} | {quantity(each.peak)} {each.unit} | "
        f"{quantity(each.there_is)} {each.unit} | {each.share:.0%} | {each.remedy} |"
        for each in found
    ]
    return "\n".join(lines)
