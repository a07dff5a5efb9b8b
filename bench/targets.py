"""What was asked of Pintally's throughput, and whether a run of the benchmark shows it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.outcome import Results
from bench.shapes import OWN

OURS = "pintally"
PER_CPU_SECOND = 500_000


@dataclass(frozen=True, slots=True)
class Target:
    """So many times the events a CPU-second of the best of these contestants."""

    against: str  # for people
    peers: tuple[str, ...]
    times: float
    shape: str = OWN.name  # of the log


TARGETS = (
    Target("idiomatic Faust", ("faust",), 150),
    Target("Quix Streams", ("quix",), 15),
    Target("ClickHouse's Kafka engine", ("clickhouse", "clickhouse-2"), 4),
    Target("Kafka Streams with exactly-once", ("streams", "streams-memory"), 4),
    Target("Flink", ("flink",), 2),
    Target("Flink", ("flink",), 5, "arms"),
    Target("Kafka Streams with exactly-once", ("streams", "streams-memory"), 8, "arms"),
    Target("ClickHouse's Kafka engine", ("clickhouse", "clickhouse-2"), 2, "arms"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One target beside what was measured; the numbers are None if there was nothing to measure it by."""

    asked: str
    target: float
    measured: float | None
    low: float | None = None  # over the runs
    high: float | None = None
    of: str = ""  # the contestant it was compared with
    shape: str = OWN.name

    @property
    def met(self) -> bool | None:
        """Whether the median reached it."""
        return None if self.measured is None else self.measured >= self.target


def verdicts(results: Results) -> list[Verdict]:
    """Every target, the absolute one first."""
    rates = [each.per_cpu_second for each in results.of(OURS)]
    absolute = spread(Verdict("events a CPU-second", PER_CPU_SECOND, None, of=OURS), rates)
    return [absolute, *(against(results, target) for target in TARGETS)]


def against(results: Results, target: Target) -> Verdict:
    """The ratio to the best of the target's peers: of each run to the same run's."""
    best = fastest(results, target.peers, target.shape)
    asked = Verdict(f"times {target.against}", target.times, None, of=best or "", shape=target.shape)
    return spread(asked, ratios(results, OURS, best, target.shape) if best else [])


def fastest(results: Results, contestants: Sequence[str], shape: str) -> str | None:
    """Who of them counted most events a CPU-second on the log of this shape; None if nobody ran."""
    medians = {each: median_rate(results, each, shape) for each in contestants if results.of(each, shape)}
    return max(medians, key=medians.__getitem__) if medians else None


def ratios(results: Results, ours: str, theirs: str, shape: str = OWN.name) -> list[float]:
    """Events a CPU-second of one contestant to another's, run by run: the machine's other work hits both alike."""
    other = {each.run: each.per_cpu_second for each in results.of(theirs, shape)}
    return [each.per_cpu_second / other[each.run] for each in results.of(ours, shape) if each.run in other]


def median_rate(results: Results, contestant: str, shape: str = OWN.name) -> float:
    """Events a CPU-second. Raises StatisticsError if it has no run."""
    return median(each.per_cpu_second for each in results.of(contestant, shape))


def spread(asked: Verdict, values: Sequence[float]) -> Verdict:
    """The verdict on the median of some values."""
    if not values:
        return asked
    return replace(asked, measured=median(values), low=min(values), high=max(values))
