"""How long from a producer's send until a reader sees the event in `pin_engagement_1m`.

    python -m bench.freshness                      # at half of the rate that steady.json found sustainable, 60 s
    python -m bench.freshness --rate 50000 --quick

Among steady traffic (see steady.py) one record every 50 ms is a probe: it names a pin of its own. The clock of a probe
starts when its batch is handed to the producer, and ends when the answer to a query of the view first holds its pin.
The view is asked again and again, 10 ms after each answer, so a probe is seen up to one such round later than it could
be, and the reader's own load is part of what is measured.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from bench.counting import Counting, counting
from bench.engines import open_engines, say
from bench.figures import RESULTS, Kept, kept, percentile
from bench.live import PROBE_PINS, Mix, Producer, Sent
from bench.steady import LEAD_SECONDS
from pintally.sinks.clickhouse.connection import Connection

PROBE_SECONDS = 0.05
WARM_SECONDS = 5.0
PAUSE_SECONDS = 0.01
PATIENCE_SECONDS = 30.0
SLAB_SECONDS = 10.0  # of traffic made at once
P50_S, P99_S = 1.0, 1.5
UNKNOWN_RATE = 50_000
SEEN = "SELECT pin_id FROM pin_engagement_1m WHERE pin_id >= {first} AND window_start >= {since}"


def freshness(
    rate: Annotated[int | None, typer.Option(min=100, help="Events a second.", show_default="see above")] = None,
    seconds: Annotated[float, typer.Option(min=5, help="After the start.")] = 60.0,
    quick: Annotated[bool, typer.Option("--quick", help="10 s.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for freshness.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Measure, print."""
    seconds = 10.0 if quick else seconds
    rate = rate or half_of_sustained(into)
    with open_engines() as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        parameters = {"events/s": rate, "seconds": seconds, "partitions": 12, "ms between probes": PROBE_SECONDS * 1000}
        with kept("freshness", engines.settings, into, as_json, parameters) as found:
            say(f"{rate:,} events a second for {seconds:.0f} s ...")
            with counting(engines, Path(folder)) as own:
                own.wait_ready(own.start())
                tell(found, asyncio.run(run(own, rate, seconds)))


def half_of_sustained(into: Path) -> int:
    """Of what steady.py found last."""
    path = into / "steady.json"
    if not path.exists():
        return UNKNOWN_RATE
    return int(Kept.from_json(path.read_text()).value("sustained, all on this machine") / 2) or UNKNOWN_RATE


def tell(found: Kept, seen: list[tuple[float, float]]) -> None:
    """The figures of all probes: when each was sent after the first, and seconds until it was seen."""
    delays = [delay for _, delay in seen]
    found.add("probes", len(delays), "probes")
    found.add("send to visible, p50", percentile(delays, 0.5), "s", at_most=P50_S)
    found.add("send to visible, p99", percentile(delays, 0.99), "s", at_most=P99_S)
    found.add("send to visible, max", max(delays), "s")
    found.samples["seconds since the start, seconds until visible"] = [[round(a, 3), round(b, 4)] for a, b in seen]


async def run(own: Counting, rate: int, seconds: float) -> list[tuple[float, float]]:
    """Send, look, and wait until every probe was seen. Raises PeerFailed if events are not counted exactly."""
    whole = WARM_SECONDS + seconds
    async with Producer(own.settings) as producer:
        made = time.time() + 2.0 + 4e-6 * rate * whole
        batches = producer.steady(Mix(), rate, whole, int(made * 1000), probe_every=PROBE_SECONDS)
        await asyncio.sleep(max(0.0, made + LEAD_SECONDS - time.time()))
        sent, started = Sent(probes={}), time.monotonic()
        probes = {batch.probe for batch in batches if batch.probe is not None}
        looking = asyncio.ensure_future(asyncio.to_thread(look, own, probes, whole + PATIENCE_SECONDS, int(made)))
        await producer.send(batches, started, sent)
        first_seen = await looking
    await asyncio.to_thread(own.wait_landed, sent.records, own.workers[-1])
    own.check_exact(sent.records)
    return list(delays(sent.probes or {}, first_seen, started))


def look(own: Counting, probes: set[int], limit_seconds: float, since: int) -> dict[int, float]:
    """When each probe was first seen (monotonic), until all are."""
    seen: dict[int, float] = {}
    give_up = time.monotonic() + limit_seconds
    with Connection(own.settings.clickhouse, PATIENCE_SECONDS) as connection:
        while len(seen) < len(probes) and time.monotonic() < give_up:
            first = PROBE_PINS + min(probes - seen.keys())
            rows = connection.rows(SEEN.format(first=first, since=since // 60 * 60))
            now = time.monotonic()
            for (pin,) in rows:
                seen.setdefault(pin - PROBE_PINS, now)
            time.sleep(PAUSE_SECONDS)
    return seen


def delays(sent: dict[int, float], seen: dict[int, float], started: float) -> Iterator[tuple[float, float]]:
    """Of each probe after the start: when it was sent, and how long it took. Raises KeyError if one was never seen."""
    for probe, at in sorted(sent.items()):
        if at - started >= WARM_SECONDS:
            yield at - started, seen[probe] - at


if __name__ == "__main__":
    typer.run(freshness)
