"""What was asked of Pintally's throughput, and whether a run of the benchmark shows it."""

from dataclasses import dataclass
from statistics import median

from bench.outcome import Results

OURS = "pintally"
PER_CPU_SECOND = 500_000


@dataclass(frozen=True, slots=True)
class Target:
    """So many times the events a CPU-second of the best of these contestants."""

    against: str  # for people
    peers: tuple[str, ...]
    times: float


TARGETS = (
    Target("idiomatic Faust", ("faust",), 150),
    Target("Quix Streams", ("quix",), 15),
    Target("ClickHouse's Kafka engine", ("clickhouse", "clickhouse-2"), 4),
    Target("Kafka Streams with exactly-once", ("streams", "streams-memory"), 4),
    Target("Flink", ("flink",), 2),
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

    @property
    def met(self) -> bool | None:
        """Whether the median reached it."""
        return None if self.measured is None else self.measured >= self.target


def verdicts(results: Results) -> list[Verdict]:
    """Every target, the absolute one first."""
    rates = [each.per_cpu_second for each in results.of(OURS)]
    absolute = spread("events a CPU-second", PER_CPU_SECOND, rates, OURS)
    return [absolute, *(against(results, target) for target in TARGETS)]


def against(results: Results, target: Target) -> Verdict:
    """The ratio to the best of the target's peers: of each run to the same run's."""
    asked = f"times {target.against}"
    medians = {peer: median_rate(results, peer) for peer in target.peers if results.of(peer)}
    if not medians:
        return Verdict(asked, target.times, None)
    best = max(medians, key=medians.__getitem__)
    return spread(asked, target.times, ratios(results, OURS, best), best)


def ratios(results: Results, ours: str, theirs: str) -> list[float]:
    """Events a CPU-second of one contestant to another's, run by run: the machine's other work hits both alike."""
    other = {each.run: each.per_cpu_second for each in results.of(theirs)}
    return [each.per_cpu_second / other[each.run] for each in results.of(ours) if each.run in other]


def median_rate(results: Results, contestant: str) -> float:
    """Events a CPU-second. Raises StatisticsError if it has no run."""
    return median(each.per_cpu_second for each in results.of(contestant))


def spread(asked: str, target: float, values: list[float], of: str) -> Verdict:
    """A verdict on the median of some values."""
    if not values:
        return Verdict(asked, target, None)
    return Verdict(asked, target, median(values), min(values), max(values), of)
