"""Freshness while all workers are replaced one by one under load, as an upgrade does.

    python -m bench.rolling                       # three workers, 20,000 events a second
    python -m bench.rolling --quick
    python -m bench.rolling --how beside          # one of the ways alone

Workers are static members, each a process. Before the traffic begins the log of each source is filled with one whole
slice and half of another, which is the most that a restore reads, as in `bench.recovery`. Then the workers are replaced
from the highest number down, each in one of these ways:

- `again`: it is told to stop, and when it has ended, a new process starts under its name. So do a StatefulSet of
  Kubernetes and `systemctl restart`.
- `beside`: a new process of its name starts beside it. When that one has loaded its code and asked what it needs, it
  joins the group, and Kafka gives it the place: the old one ends when it hears of it. Nothing stops while it starts.

The next one follows when the new one counts and its sources are flushed to what the log held when it began. Probes
among the traffic show freshness, as in `bench.freshness`, from the first replacement until 5 s after the last.
`pintally verify` must find every count exact afterwards, and each worker says how many sources it restored.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.counting import Counting, CountingWorker, counting
from bench.drain import PeerFailed
from bench.engines import Engines, open_engines, say
from bench.figures import RESULTS, Kept, kept, percentile
from bench.freshness import PATIENCE_SECONDS, PROBE_SECONDS, delays, look
from bench.live import EQUAL, Mix, Producer, Sent
from bench.measured import cpu_seconds
from bench.recovery import PARTITIONS, SPAN_MS, begun, ledger_positions, log_ends, total
from bench.steady import LEAD_SECONDS
from pintally.schemas.actions import Action

WORKERS, SESSION_SECONDS = 3, 30.0  # the session of the chart
BEFORE_SECONDS, AFTER_SECONDS = 10.0, 5.0  # of steady traffic that is compared, and until freshness is as it was
SECONDS_A_WORKER, P99_S = 25.0, 3.0
WAYS = ("again", "beside")
SOURCES = len(Action) * (PARTITIONS + 1)  # each action has a replay topic of one partition
MIX = Mix(shares=EQUAL)


@dataclass
class Replaced:
    """One replacement: monotonic times, and what the new worker said when its counting began."""

    began: float
    ended: float = 0.0  # the old process
    counts: float = 0.0  # the new one has its sources
    cpu: float = 0.0  # seconds that it used until then
    flushed: float = 0.0  # and has flushed what the log held when the replacement began
    said: list[dict[str, int]] = field(default_factory=list)


def rolling(
    rate: Annotated[int, typer.Option(min=100, help="Events a second.")] = 20_000,
    slice_records: Annotated[int, typer.Option(min=1000, help="Offsets a block.")] = 250_000,
    how: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(WAYS)}; may be repeated.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="5,000 events a second, slices of 20,000 records.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for rolling.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Measure, print."""
    rate, slice_records = (5_000, 20_000) if quick else (rate, slice_records)
    with open_engines() as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        parameters = {
            "workers": WORKERS, "sources": SOURCES, "events/s": rate, "records a slice": slice_records,
            "session, s": SESSION_SECONDS, "ms between probes": PROBE_SECONDS * 1000,
        }  # fmt: skip
        with kept("rolling", engines.settings, into, as_json, parameters) as found:
            for way in how or WAYS:
                say(f"{way}: {WORKERS} workers, {rate:,} events a second ...")
                measure(engines, Path(folder), way, rate, slice_records, found)


def measure(engines: Engines, folder: Path, way: str, rate: int, slice_records: int, found: Kept) -> None:
    """One way, on topics and tables of its own. Raises PeerFailed if a count is not exact."""
    changed = {
        "partitions": PARTITIONS, "slice_records": slice_records, "log_format": "json",
        "session_timeout_seconds": SESSION_SECONDS,
    }  # fmt: skip
    with counting(engines, folder, **changed) as own:
        asyncio.run(run(own, way, rate, int(1.5 * slice_records * 3 * PARTITIONS), found))
        verify(own)


async def run(own: Counting, way: str, rate: int, filled: int, found: Kept) -> None:
    """Fill, count, send, replace all, and tell what the probes saw."""
    sent = Sent(probes={})
    async with Producer(own.settings) as producer:
        for slab in producer.at_once(MIX, filled, int(time.time() * 1000), SPAN_MS):
            await producer.send(slab, time.monotonic(), sent)
        running = [await asyncio.to_thread(own.start, f"worker-{number}", "INFO") for number in range(WORKERS)]
        await asyncio.to_thread(own.wait, lambda: all(has_sources(each) for each in running), *running)
        await asyncio.to_thread(own.wait_landed, sent.records, *running)
        whole = BEFORE_SECONDS + WORKERS * SECONDS_A_WORKER + AFTER_SECONDS
        made = time.time() + 2.0 + 4e-6 * rate * whole
        batches = producer.steady(MIX, rate, whole, int(made * 1000), probe_every=PROBE_SECONDS)
        await asyncio.sleep(max(0.0, made + LEAD_SECONDS - time.time()))
        started = time.monotonic()
        probes = {batch.probe for batch in batches if batch.probe is not None}
        looking = asyncio.ensure_future(asyncio.to_thread(look, own, probes, whole + PATIENCE_SECONDS, int(made)))
        sending = asyncio.ensure_future(producer.send(batches, started, sent))
        await asyncio.sleep(BEFORE_SECONDS)
        replaced = await asyncio.to_thread(replace_all, own, running, way)
        await sending
        seen = await looking
    await asyncio.to_thread(own.wait_landed, sent.records, *own.workers[-WORKERS:])
    own.check_exact(sent.records)
    tell(found, way, replaced, [(at + started, delay) for at, delay in delays(sent.probes or {}, seen, started)])


def replace_all(own: Counting, running: list[CountingWorker], way: str) -> list[Replaced]:
    """Each worker, from the highest number down. Blocking."""
    replaced = []
    for number in reversed(range(WORKERS)):
        others = [each for each in running if each is not running[number]]
        replaced.append(replace(own, running[number], f"worker-{number}", way, others))
        running[number] = own.workers[-1]
    return replaced


def replace(own: Counting, old: CountingWorker, name: str, way: str, others: list[CountingWorker]) -> Replaced:
    """One worker. Raises PeerFailed if another one ends, or the new one does not count."""
    done, past, before = Replaced(time.monotonic()), log_ends(own), [len(begun(each)) for each in others]
    if way == "again":
        old.stop()
        done.ended = time.monotonic()
    new = own.start(name, "INFO")
    if way == "beside":
        own.wait(lambda: old.process.poll() is not None, new, *others)
        done.ended = time.monotonic()
    own.wait(lambda: has_sources(new), new, *others)
    done.counts, done.cpu = time.monotonic(), cpu_seconds([new.process.pid])
    own.wait(lambda: passed(own, past), new, *others)
    done.flushed = time.monotonic()
    of_others = [line for each, known in zip(others, before, strict=True) for line in begun(each)[known:]]
    done.said = [*begun(new), *of_others]
    return done


def has_sources(worker: CountingWorker) -> bool:
    """Whether it said that its counting begins with some."""
    return total(begun(worker), "sources") > 0


def passed(own: Counting, ends: dict[int, int]) -> bool:
    """Whether every source is flushed beyond these ends of the log."""
    positions = ledger_positions(own)
    return all(positions.get(source, 0) >= end for source, end in ends.items())


def tell(found: Kept, way: str, replaced: list[Replaced], seen: list[tuple[float, float]]) -> None:
    """What probes saw before and meanwhile, where the time went, and what was read again."""
    first, last = replaced[0].began, replaced[-1].flushed + AFTER_SECONDS
    before = [delay for at, delay in seen if at < first - P99_S]
    during = [(at - first, delay) for at, delay in seen if first <= at <= last]
    found.add(f"{way}: send to visible before, p99", percentile(before, 0.99), "s")
    found.add(f"{way}: send to visible while workers are replaced, p50", percentile([d for _, d in during], 0.5), "s")
    found.add(
        f"{way}: send to visible while workers are replaced, p99", percentile([d for _, d in during], 0.99), "s",
        at_most=P99_S,
    )  # fmt: skip
    found.add(f"{way}: send to visible while workers are replaced, max", max(d for _, d in during), "s")
    if way == "again":
        found.add(f"{way}: told to stop until it ended, longest", max(r.ended - r.began for r in replaced), "s")
        found.add(f"{way}: started until it counts, longest", max(r.counts - r.ended for r in replaced), "s")
    else:
        found.add(f"{way}: started until it counts, longest", max(r.counts - r.began for r in replaced), "s")
    found.add(f"{way}: CPU of a worker until it counts, most", max(r.cpu for r in replaced), "s")
    found.add(f"{way}: counts until all is flushed, longest", max(r.flushed - r.counts for r in replaced), "s")
    said = [line for each in replaced for line in each.said]
    found.add(f"{way}: sources restored", total(said, "restored"), "sources", at_most=SOURCES)
    found.add(f"{way}: records read again", total(said, "records_again"), "records")
    found.samples[f"{way}: seconds since the first, seconds until visible"] = [
        [round(at, 3), round(delay, 4)] for at, delay in during
    ]


def verify(own: Counting) -> None:
    """Raise PeerFailed unless `pintally verify` finds every count exact."""
    command = [sys.executable, "-m", "pintally.cli", "verify", "--json"]
    done = subprocess.run(command, env=own.settings.environment(), capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    if done.returncode or not found.get("exact"):
        raise PeerFailed(f"verify ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    typer.run(rolling)
