"""What steady traffic costs: CPU of a worker at 10,000, 50,000 and 100,000 events a second, in small chunks.

    python -m bench.steady
    python -m bench.steady --quick
    python -m bench.steady --shapes own,extra

At each rate new topics of four partitions each get events as they happen, a batch a partition each 50 ms, from a
process that has made them before. After some seconds for the start the clocks are read, and again at the end. A rate
is kept up with if the producer sent in time and the ledger ends no further behind than some flushes. After the three
rates come higher ones, until one is not kept up with: the last that was is the sustainable rate, of a machine whose
cores the producer, Kafka, ClickHouse and the worker share. Higher rates are of shape `own` only. A shape
takes two minutes for the three rates: without --shapes only `own` and `arms` run. After each rate every event must have
been counted exactly once.
"""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bench.counting import Counting, Used, counting
from bench.engines import Engines, open_engines, say
from bench.figures import RESULTS, Kept, kept
from bench.live import STEP_SECONDS, Mix, Producer, Sent
from bench.options import HELP, checked
from bench.shapes import OWN, Shape, named

RATES = (10_000, 50_000, 100_000)
BY_DEFAULT = "own,arms"
HIGHER = (150_000, 200_000, 250_000, 300_000, 400_000, 500_000)
WARM_SECONDS = 4.0
BEHIND_SECONDS = 2.5  # a flush, its insert, and some noise
SEND_BEHIND_SECONDS = 1.0
LEAD_SECONDS = 0.5
MAKE_SECONDS = 4e-6  # an event


@dataclass(frozen=True, slots=True)
class Ran:
    """One rate, between the two looks at the clocks."""

    rate: int
    shape: Shape
    events: int
    used: Used
    rows: int  # inserted into ClickHouse meanwhile
    send_behind: float  # seconds, of the most belated batch
    behind: float  # seconds of traffic that the ledger had not recorded at the end

    @property
    def kept_up(self) -> bool:
        """Whether worker, engines and producer all did."""
        return self.behind <= BEHIND_SECONDS and self.send_behind <= SEND_BEHIND_SECONDS

    @property
    def us_an_event(self) -> float:
        """CPU of the worker."""
        return self.used.worker / self.events * 1e6


def steady(
    seconds: Annotated[float, typer.Option(min=5, help="At each rate.")] = 24.0,
    shapes: Annotated[str, typer.Option(help=HELP, callback=checked)] = BY_DEFAULT,
    quick: Annotated[bool, typer.Option("--quick", help="9 s at each rate, three rates only.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for steady.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Measure, print."""
    seconds = 9.0 if quick else seconds
    with open_engines() as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        parameters = {"seconds": seconds, "partitions": 12, "ms a batch": STEP_SECONDS * 1000}
        with kept("steady", engines.settings, into, as_json, parameters) as found:
            for shape in named(shapes):
                rates = RATES if quick or shape is not OWN else (*RATES, *HIGHER)
                measure(engines, Path(folder), seconds, rates, shape, found)


def measure(engines: Engines, folder: Path, seconds: float, rates: tuple[int, ...], shape: Shape, found: Kept) -> None:
    """Rates in ascending order; higher ones than RATES until one is not kept up with."""
    sustained = 0
    for rate in rates:
        say(f"{rate:,} events a second of shape {shape.name} ...")
        with counting(engines, folder) as own:
            ran = run_at(own, rate, seconds if rate in RATES else min(seconds, 12.0), shape=shape)
        tell(found, ran)
        if not ran.kept_up:
            found.notes.append(
                f"{rate:,} events a second of shape {shape.name} were not kept up with: the ledger ended "
                f"{ran.behind:.1f} s behind, the producer {ran.send_behind:.1f} s."
            )
            if rate >= max(RATES):
                break
        else:
            sustained = rate
    if shape is OWN:
        found.add("sustained, all on this machine", sustained, "events/s")


def tell(found: Kept, ran: Ran) -> None:
    """The figures of one rate; of another shape than `own` only what the worker used."""
    name, used = f"at {ran.rate:,} events/s", ran.used
    if ran.shape is not OWN:
        found.add(f"{name} of shape {ran.shape.name}: worker, an event", ran.us_an_event, "us")
        return
    found.add(f"{name}: worker", used.worker / used.seconds, "cores")
    found.add(f"{name}: worker, an event", ran.us_an_event, "us")
    found.add(f"{name}: rows inserted, an event", ran.rows / ran.events, "rows")
    found.add(f"{name}: not flushed at the end", ran.behind, "s")
    for engine, cpu in (("ClickHouse", used.clickhouse), ("Kafka", used.kafka)):
        if cpu is not None:
            found.add(f"{name}: {engine}, an event", cpu / ran.events * 1e6, "us")


def run_at(own: Counting, rate: int, seconds: float, shape: Shape = OWN) -> Ran:
    """Events at `rate` for `seconds` and a start, counted by one worker. Raises PeerFailed."""
    worker = own.start()
    own.wait_ready(worker)
    return asyncio.run(_run(own, rate, seconds, shape))


async def _run(own: Counting, rate: int, seconds: float, shape: Shape) -> Ran:
    worker = own.workers[-1]
    whole = WARM_SECONDS + seconds
    async with Producer(own.settings, shape) as producer:
        # About what making takes: events must not be late or early.
        made = time.time() + 2.0 + (MAKE_SECONDS if shape is OWN else 2 * MAKE_SECONDS) * rate * whole
        batches = producer.steady(Mix(), rate, whole, int(made * 1000))
        await asyncio.sleep(max(0.0, made + LEAD_SECONDS - time.time()))
        sent, started = Sent(), time.monotonic()
        sending = asyncio.ensure_future(producer.send(batches, started, sent))
        watch = own.watch(worker)
        await asyncio.sleep(WARM_SECONDS)
        begin, records, rows = watch.now(), sent.records, await asyncio.to_thread(own.inserted)
        await asyncio.sleep(seconds)
        end, all_records, all_rows = watch.now(), sent.records, await asyncio.to_thread(own.inserted)
        behind = (all_records - await asyncio.to_thread(own.landed)) / rate
        await sending
    await asyncio.to_thread(own.wait_landed, sent.records, worker)
    own.check_exact(sent.records)
    used = Used.between(begin, end)
    return Ran(rate, shape, all_records - records, used, all_rows - rows, sent.latest, behind)


if __name__ == "__main__":
    typer.run(steady)
