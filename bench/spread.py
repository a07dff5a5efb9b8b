"""What an event costs over the shapes of traffic: the section that leads docs/performance.md, from bench/results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import guard
from bench.figures import Kept
from bench.outcome import Results
from bench.report import table
from bench.shapes import SHAPES
from bench.targets import OURS, fastest, ratios

PEERS = {
    "confluent-kafka's raw drain": ("confluent-raw",),
    "Flink": ("flink",),
    "Kafka Streams": ("streams", "streams-memory"),
    "ClickHouse's Kafka engine": ("clickhouse", "clickhouse-2"),
}
UNKNOWN = "not measured"
BY_SHAPE = "peers-by-shape.json"  # what `python -m bench.run --shapes ... --into FOLDER` leaves as peers.json
SAID = """Producers write the same event in many ways: the order of the fields, spaces, further fields, experiments and
the size of batches differ. Each shape below holds the same events. The cost of an event is that of one more event in a
whole worker: two sizes of log, and the difference (`python -m bench.marginal`). A ratio compares events a CPU-second on
the same log, in turns: with a raw drain, which decodes and counts nothing (`make guard` with aiokafka's `getmany`,
`make bench` with confluent-kafka's `consume`), and with the fastest set-up of each peer (`make bench`)."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is kept of all shapes; empty where nothing is."""

    micros: dict[str, list[float]]  # shape -> us of CPU an event, of each round
    bytes: dict[str, float]  # shape -> of a value, on average
    of_client: dict[str, guard.Guarded]
    peers: tuple[Results, ...]  # the first that has a shape counts

    @property
    def by_cost(self) -> list[str]:
        """The shapes that were measured, the slowest first."""
        return sorted(self.micros, key=lambda shape: -median(self.micros[shape]))


def spread(at: Path) -> str:
    """The section: slowest and fastest in a sentence, all in a table, the slowest first."""
    found = read(at)
    shapes = [*found.by_cost, *(shape for shape in SHAPES if shape not in found.micros)]
    headings = ("Shape", "bytes", "us an event", "times aiokafka's raw drain", *(f"times {peer}" for peer in PEERS))
    rows = [row(found, shape) for shape in shapes]
    return f"{SAID}\n\n{extremes(found)}\n\n{table(headings, rows)}\n\n{told(at)}".strip()


def read(at: Path) -> Found:
    """What lies in the folder of the results."""
    marginal, peers = at / "marginal.json", [at / BY_SHAPE, at / "peers.json"]
    kept = Kept.from_json(marginal.read_text()) if marginal.exists() else None
    results = tuple(Results.from_json(path.read_text()) for path in peers if path.exists())
    sizes = {shape: size for shape in SHAPES if kept and (size := kept.find(f"{shape}: a value"))}
    return Found(kept.samples if kept else {}, sizes, guard.read(at / "guard.json"), results)


def extremes(found: Found) -> str:
    """The slowest and the fastest shape. Says so if none or not all were measured."""
    if not found.micros:
        return "**The spread is not measured yet**: `python -m bench.marginal`."
    first, last = found.by_cost[0], found.by_cost[-1]
    slow, fast = (median(found.micros[shape]) for shape in (first, last))
    missing = ", ".join(f"`{shape}`" for shape in SHAPES if shape not in found.micros)
    return (
        f"**From {slow:.2f} us an event (`{first}`, {1e6 / slow:,.0f} events a CPU-second) to {fast:.2f} us "
        f"(`{last}`, {1e6 / fast:,.0f}): the slowest shape costs {slow / fast:.1f} times the fastest.**"
        f"{f' Not measured: {missing}.' if missing else ''}"
    )


def row(found: Found, shape: str) -> list[str]:
    """One shape."""
    guarded = found.of_client.get(shape)
    size = found.bytes.get(shape)
    return [
        f"`{shape}`: {SHAPES[shape].what}",
        f"{size:,.0f}" if size else "",
        shown(found.micros.get(shape, []), 2),
        shown(guarded.ratios if guarded else [], 2),
        *(shown(of_peer(found.peers, peers, shape), 1) for peers in PEERS.values()),
    ]


def of_peer(found: Sequence[Results], peers: Sequence[str], shape: str) -> list[float]:
    """Our rate to that of the fastest of these contestants, run by run; empty if none ran on this shape."""
    for results in found:
        if best := fastest(results, peers, shape):
            return ratios(results, OURS, best, shape)
    return []


def shown(values: Sequence[float], digits: int) -> str:
    """Median (lowest to highest)."""
    if not values:
        return UNKNOWN
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def told(at: Path) -> str:
    """When and where the cost of an event was measured; empty if it was not."""
    path = at / "marginal.json"
    if not path.exists():
        return ""
    peers = at / BY_SHAPE
    beside = f" {ratios_told(Results.from_json(peers.read_text()))}" if peers.exists() else ""
    kept = Kept.from_json(path.read_text())
    about = ", ".join(f"{name} {value:,}" for name, value in kept.parameters.items())
    load = " to ".join(f"{each:.1f}" for each in kept.load)
    where = f"{kept.machine['cpu']}, {kept.machine['cores']} cores"
    return f"us an event: {kept.began}, commit {kept.versions['commit']}; {where}; load {load}; {about}.{beside}"


def ratios_told(found: Results) -> str:
    """When and on what the ratios to peers were measured, and at which load."""
    loads = [run.load for run in found.runs]
    return (
        f"Ratios to peers: {found.began}, commit {found.versions['commit']}; logs of {found.work['events']:,} events; "
        f"load {min(loads):.1f} to {max(loads):.1f}."
    )
