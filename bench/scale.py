"""How cost grows with workers, servers of ClickHouse, partitions and pins.

    python -m bench.scale                         # 8,000,000 events a log, 32,000,000 for two workers; median of 3 runs
    python -m bench.scale --quick                 # 300,000 events, one run
    python -m bench.scale --only shard            # workers and servers of ClickHouse

Logs are filled, then drained by workers into new tables; every event must be counted exactly once. Compared are
events a CPU-second of the workers, run by run in turn, so that a disturbance of the machine falls on all:

- two workers beside one, on the same log. They share the machine's cores with Kafka and ClickHouse, so events a second
  grow less than they would on cores of their own; what two cost an event beside one says what they would do there.
  Clocks of two start when both are in the group; what was recorded until then is left out. Their log is four times as
  long: in a short one the costs of joining, once a worker, are most of the difference (6,000,000 events: 1.77 times).
  What was folded but not recorded when the clocks start is counted, though its CPU was spent before: at most a flush's
  events, some hundredths of 32,000,000. With --quick it is most of the log, and the figure of two workers says nothing.
- 1 to 4 workers with 1, 2 and 3 servers of ClickHouse that share the pins, each pair on the same log. What a worker
  spends more on several servers is the split of a flush and the further inserts. Worker, servers and Kafka share the
  machine, so CPU an event is compared, of workers and of all servers together, and not time.
- all events in one partition, or in 64 of one topic.
- 100 pins, or 10,000,000.
- one pin with half of all events.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from bench.counting import Counting, Used, counting_on, own_topics
from bench.engines import Engines, open_engines, say, with_shards
from bench.figures import RESULTS, Kept, kept
from bench.live import Mix, Producer, Sent
from pintally.schemas.actions import Action
from pintally.streams.kafka.topics import group_members
from pintally.streams.settings import Settings

SPAN_MS = 20 * 60_000
SLICES = 25_000  # small, so that the ledger tells within a slice how far workers are
ANY = Mix()
ONE_TOPIC = ((Action.CLOSEUP, 1.0), (Action.CLICK, 0.0), (Action.SAVE, 0.0))


@dataclass(frozen=True, slots=True)
class Case:
    """One log, and how many workers drain it."""

    name: str
    mix: Mix = ANY
    workers: int = 1
    shards: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    log: str = ""  # cases of the same log share it; its own if empty
    times: int = 1  # as many events as the other logs have


MOST_WORKERS, MOST_SHARDS = 4, 3


def grown(workers: int, shards: int) -> str:
    """The name of the case of so many workers and servers of ClickHouse."""
    return f"{workers} {'worker' if workers == 1 else 'workers'}, {shards} {'shard' if shards == 1 else 'shards'}"


GRID = tuple(
    Case(
        grown(workers, shards), workers=workers, shards=shards, settings={"slice_records": SLICES}, log="grid", times=2
    )
    for shards in range(1, MOST_SHARDS + 1)
    for workers in range(1, MOST_WORKERS + 1)
)
CASES = (
    Case("one worker", settings={"slice_records": SLICES}, log="common", times=4),
    Case("two workers", settings={"slice_records": SLICES}, workers=2, log="common", times=4),
    Case("1 partition", Mix(shares=ONE_TOPIC), settings={"partitions": 1}),
    Case("64 partitions", Mix(shares=ONE_TOPIC), settings={"partitions": 64}),
    Case("100 pins", Mix(pins=100)),
    Case("1,000,000 pins", Mix()),
    Case("10,000,000 pins", Mix(pins=10_000_000)),
    Case("1,000,000 pins, one with half of the events", Mix(hot=0.5)),
    *GRID,
)


@dataclass(frozen=True, slots=True)
class Drained:
    """One case, once."""

    events: int
    used: Used

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.used.seconds

    @property
    def per_cpu_second(self) -> float:
        """Events a CPU-second of the workers."""
        return self.events / self.used.worker

    @property
    def clickhouse_us(self) -> float | None:
        """CPU of all servers of ClickHouse, an event, in microseconds; None if it is not ours to look at."""
        return None if self.used.clickhouse is None else self.used.clickhouse / self.events * 1e6


def scale(
    events: Annotated[int, typer.Option(min=1000, help="Records in each log.")] = 8_000_000,
    runs: Annotated[int, typer.Option(min=1, help="Runs of each; the median counts.")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="300,000 events, one run.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only cases whose name has this; may be repeated.")] = None,
    into: Annotated[Path, typer.Option(help="Folder for scale.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Measure, print."""
    events, runs = (300_000, 1) if quick else (events, runs)
    cases = [case for case in CASES if not only or any(word in case.name for word in only)]
    servers = max((case.shards for case in cases), default=1)
    with open_engines(shards=servers) as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        parameters = {"events": events, "runs": runs}
        with (
            kept("scale", engines.settings, into, as_json, parameters) as found,
            logs(engines, events, cases) as filled,
        ):
            drained: dict[str, list[Drained]] = {case.name: [] for case in cases}
            for run in range(1, runs + 1):
                for case in cases:
                    log = filled[case.log or case.name]
                    drained[case.name].append(drain(engines, Path(folder), case, log, case.times * events))
                    rate = drained[case.name][-1].per_cpu_second
                    say(f"run {run}: {case.name}: {rate:,.0f} events a CPU-s")
            tell(found, drained)


def tell(found: Kept, drained: dict[str, list[Drained]]) -> None:
    """The figures, and the ratios that were asked for."""
    for name, runs in drained.items():
        found.add(f"{name}: events a CPU-second", middle(runs), "events")
        found.samples[f"{name}: events a CPU-second"] = [round(each.per_cpu_second) for each in runs]
    tell_grid(found, drained)
    if not {case.name for case in CASES if case not in GRID} <= drained.keys():
        return
    speeds = {name: [each.per_second for each in runs] for name, runs in drained.items()}
    rates = {name: [each.per_cpu_second for each in runs] for name, runs in drained.items()}
    told = "two workers: events a second over one's,"
    add_ratio(found, f"{told} engines on the same cores", ratios(speeds["two workers"], speeds["one worker"]))
    own_cores = [2 * ratio for ratio in ratios(rates["two workers"], rates["one worker"])]
    add_ratio(found, f"{told} as their CPU would give on cores of their own", own_cores, at_least=1.8)
    partitions = ratios(rates["64 partitions"], rates["1 partition"])
    add_ratio(found, "64 partitions over 1, events a CPU-second", partitions, at_least=0.75, at_most=1 / 0.75)
    common = rates["1,000,000 pins"]
    for pins in ("100 pins", "10,000,000 pins"):
        add_ratio(found, f"{pins} over 1,000,000, events a CPU-second", ratios(rates[pins], common))
    hot = ratios(rates["1,000,000 pins, one with half of the events"], common)
    add_ratio(found, "one pin with half of the events over none such, events a CPU-second", hot, at_least=0.95)


def tell_grid(found: Kept, drained: dict[str, list[Drained]]) -> None:
    """What several servers and workers cost an event, beside one of each."""
    for case in GRID:
        if runs := drained.get(case.name):
            costs = [each.clickhouse_us for each in runs if each.clickhouse_us is not None]
            if costs:
                found.add(f"{case.name}: CPU of ClickHouse, an event", median(costs), "us")
            if alone := drained.get(grown(1, 1)):
                more = ratios([1 / each.per_cpu_second for each in runs], [1 / each.per_cpu_second for each in alone])
                add_ratio(found, f"{case.name}: CPU of workers an event, over one of each", more)


def ratios(runs: list[float], others: list[float]) -> list[float]:
    """Of each run to the other case's run beside it: neighbours in time met the same machine."""
    return [each / other for each, other in zip(runs, others, strict=True)]


def add_ratio(found: Kept, name: str, of_runs: list[float], **target: float) -> None:
    """The median, and each run's."""
    found.add(name, median(of_runs), "times", **target)
    found.samples[name] = [round(ratio, 3) for ratio in of_runs]


def middle(runs: list[Drained]) -> float:
    """Median events a CPU-second."""
    return median(each.per_cpu_second for each in runs)


@contextmanager
def logs(engines: Engines, events: int, cases: list[Case]) -> Iterator[dict[str, Settings]]:
    """The log of each case, filled."""
    filled: dict[str, Settings] = {}
    with ExitStack() as stack:
        for case in cases:
            name = case.log or case.name
            if name not in filled:
                say(f"filling {case.times * events:,} records: {name} ...")
                filled[name] = stack.enter_context(own_topics(engines, **case.settings))
                asyncio.run(fill(filled[name], case.mix, case.times * events))
        yield filled


async def fill(settings: Settings, mix: Mix, events: int) -> Sent:
    """Events of the last minutes into the topics of `settings`."""
    sent = Sent()
    async with Producer(settings) as producer:
        for batches in producer.at_once(mix, events, int(time.time() * 1000), SPAN_MS):
            await producer.send(batches, time.monotonic(), sent)
    return sent


def drain(engines: Engines, folder: Path, case: Case, settings: Settings, events: int) -> Drained:
    """One case, once. Raises PeerFailed."""
    with counting_on(engines, folder, with_shards(settings, case.shards)) as own:
        for number in range(case.workers):
            own.start(f"bench-{number}")
        return drained_by(own, events)


def drained_by(own: Counting, events: int) -> Drained:
    """From the first start row, or from when all workers are in the group, until the ledger has all."""
    watch, before = own.watch(*own.workers), 0
    own.wait_ready(own.workers[0])
    if len(own.workers) > 1:
        own.wait(lambda: len(group_members(own.settings.kafka)) == len(own.workers), *own.workers)
        before = own.landed()
    begin = watch.now()
    own.wait_landed(events, *own.workers)
    end = watch.now()
    own.check_exact(events)
    return Drained(events - before, Used.between(begin, end))


if __name__ == "__main__":
    typer.run(scale)
