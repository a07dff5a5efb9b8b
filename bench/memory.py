"""What a worker keeps in memory: bytes a cell, bytes an id, how flat it is over time, and what an outage adds.

    python -m bench.memory --minutes 30
    python -m bench.memory --quick                # 1 minute

Cells and ids: twelve full slices of 250,000 records are folded in a process of their own, without engines; the bytes
of the arrays are divided by the cells and ids they hold, and the same is done with what the kernel says the process
grew by. The ids are those of two blocks a source, as a worker holds them.

Flat: a worker counts steady traffic, with small slices, so that blocks turn over many times. Its resident memory is
read every second; the first third is its start. The figure is the median of the last third over that of the middle
third.

An outage: ClickHouse is stopped (SIGSTOP, so that it neither answers nor refuses) while traffic goes on, for longer
than `max_pending_cells` lasts, then goes on. It needs a ClickHouse of this command's own.
"""

import asyncio
import multiprocessing
import os
import signal
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from numpy.random import default_rng

from bench.counting import Counting, counting
from bench.drain import PeerFailed
from bench.engines import Engines, open_engines, say
from bench.figures import RESULTS, Kept, kept
from bench.live import Mix, Producer, Sent
from pintally.schemas.decoding.decoded import Decoded
from pintally.schemas.rules import Rules
from pintally.streams.counting.aggregates import PinMinutes
from pintally.streams.counting.duplicates import SeenIds
from pintally.streams.counting.outcomes import Judged

CELL_BYTES, ID_BYTES = 32, 40
SOURCES, SLICE_RECORDS, CHUNK = 12, 250_000, 5_000
RATE = 20_000
SLAB_SECONDS = 20.0  # of traffic made at once
FLAT = 1.05
WARM_SECONDS, OUTAGE_SECONDS, MAX_PENDING = 8.0, 40.0, 200_000
PAUSED = "reading pauses"


def memory(
    minutes: Annotated[float, typer.Option(min=0.5, help="Of steady traffic.")] = 30.0,
    quick: Annotated[bool, typer.Option("--quick", help="One minute.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for memory.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Measure, print."""
    minutes = 1.0 if quick else minutes
    with open_engines() as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        parameters = {"minutes": minutes, "events/s": RATE, "sources": SOURCES, "records a slice": SLICE_RECORDS}
        with kept("memory", engines.settings, into, as_json, parameters) as found:
            cells_and_ids(found)
            flat(engines, Path(folder), minutes * 60, found)
            if engines.clickhouse_pid is not None:
                outage(engines, Path(folder), found)


def cells_and_ids(found: Kept) -> None:
    """In a new process, so that what other measurements left in this one is not counted."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        cells = pool.apply(fill_cells)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        ids = pool.apply(fill_ids)
    for name, limit, (count, of_arrays, grown) in (
        ("a live cell", CELL_BYTES, cells),
        ("an id of the duplicate filter", ID_BYTES, ids),
    ):
        found.add(f"{name}, arrays", of_arrays / count, "B", at_most=limit)
        found.add(f"{name}, growth of the process", grown / count, "B")


def fill_cells() -> tuple[int, int, int]:
    """Cells of full slices: how many, bytes of their arrays, bytes the process grew by."""
    rng, before, every = default_rng(1), resident(), []
    never = np.zeros(CHUNK, np.bool_)
    for _ in range(SOURCES):
        cells = PinMinutes(Rules())
        for _ in range(0, SLICE_RECORDS, CHUNK):
            minutes = rng.integers(29_000_000, 29_000_060, CHUNK)
            decoded = replace(Decoded.blank(CHUNK), pin_id=rng.integers(1, 2**63, CHUNK, dtype=np.uint64))
            cells.add(Judged(decoded, minutes, minutes, minutes, never, never, ~never), np.arange(CHUNK))
        cells.end()
        every.append(cells)
    return sum(map(len, every)), sum(cells.nbytes for cells in every), resident() - before


def fill_ids() -> tuple[int, int, int]:
    """The same of ids: two blocks a source."""
    rng, before, every = default_rng(2), resident(), []
    for _ in range(SOURCES):
        seen = SeenIds()
        for at in range(0, 2 * SLICE_RECORDS, CHUNK):
            seen.register(rng.integers(0, 2**64, (CHUNK, 2), dtype=np.uint64), at // SLICE_RECORDS, 1)
        every.append(seen)
    return 2 * SLICE_RECORDS * SOURCES, sum(seen.nbytes for seen in every), resident() - before


def resident(pid: int | str = "self") -> int:
    """Bytes of resident memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def flat(engines: Engines, folder: Path, seconds: float, found: Kept) -> None:
    """A worker under steady traffic."""
    say(f"{seconds / 60:.0f} minutes of {RATE:,} events a second ...")
    slice_records = max(10_000, min(SLICE_RECORDS, int(RATE / SOURCES * seconds / 24)))  # two dozen blocks a source
    with counting(engines, folder, slice_records=slice_records) as own:
        own.wait_ready(own.start())
        sizes = asyncio.run(traffic(own, seconds))
    third = len(sizes) // 3
    middle, last = median(sizes[third : 2 * third]), median(sizes[2 * third :])
    found.add("steady: resident, median of the last third", last / 2**20, "MiB")
    found.add("steady: last third over middle third", last / middle, "times", at_most=FLAT)
    found.add("steady: highest", max(sizes) / 2**20, "MiB")
    found.samples["steady: MiB each second"] = [round(size / 2**20, 1) for size in sizes]


async def traffic(own: Counting, seconds: float) -> list[int]:
    """Resident memory each second while events flow; at the end all must have been counted."""
    sent, sizes = Sent(), []
    worker = own.workers[-1]
    async with Producer(own.settings) as producer:
        sending = asyncio.ensure_future(send_for(producer, seconds, sent))
        while not sending.done():
            await asyncio.sleep(1.0)
            worker.check()
            sizes.append(worker.resident_bytes)
        await sending
    await asyncio.to_thread(own.wait_landed, sent.records, worker)
    own.check_exact(sent.records)
    return sizes


async def send_for(producer: Producer, seconds: float, sent: Sent) -> None:
    """Steady traffic, one slab made while the one before is sent."""
    began = time.time()
    start = time.monotonic()
    batches = producer.steady(Mix(), RATE, min(SLAB_SECONDS, seconds), int(began * 1000), seed=0)
    for slab in range(1, int(seconds / SLAB_SECONDS) + 1):
        sending = asyncio.ensure_future(producer.send(batches, start, sent))
        await asyncio.sleep(0)
        following = int((began + slab * SLAB_SECONDS) * 1000)
        batches = await asyncio.to_thread(producer.steady, Mix(), RATE, SLAB_SECONDS, following, slab)
        await sending
        start += SLAB_SECONDS
    await producer.send(batches, start, sent)


def outage(engines: Engines, folder: Path, found: Kept) -> None:
    """ClickHouse stands still for a while. What waits is bounded by the budget, and is counted exactly afterwards."""
    say(f"ClickHouse stands still for {OUTAGE_SECONDS:.0f} s ...")
    with counting(engines, folder, max_pending_cells=MAX_PENDING) as own:
        own.wait_ready(own.start())
        sizes = asyncio.run(stopped(own))
    before, paused = sizes.before, sizes.after_pause[0]
    found.add("outage: resident before", before / 2**20, "MiB")
    found.add(f"outage: growth until reading paused, at {MAX_PENDING:,} cells", (paused - before) / 2**20, "MiB")
    highest = max(sizes.after_pause)
    found.add(
        "outage: highest until it ended, over what it was as reading paused", highest / paused, "times", at_most=FLAT
    )
    found.add("outage: highest while the backlog was counted", max(sizes.catching_up) / 2**20, "MiB")


@dataclass
class Sizes:
    """Resident bytes around an outage."""

    before: int
    after_pause: list[int] = field(default_factory=list)  # each second from when reading paused until the outage ended
    catching_up: list[int] = field(default_factory=list)


async def stopped(own: Counting) -> Sizes:
    """Resident bytes through an outage. Raises PeerFailed if it was too short, or counts are not exact."""
    worker, pid = own.workers[-1], own.engines.clickhouse_pid
    assert pid is not None
    sent, seconds = Sent(), WARM_SECONDS + OUTAGE_SECONDS
    async with Producer(own.settings) as producer:
        batches = producer.steady(Mix(), RATE, seconds, int(time.time() * 1000))
        sending = asyncio.ensure_future(producer.send(batches, time.monotonic(), sent))
        await asyncio.sleep(WARM_SECONDS)
        sizes = Sizes(worker.resident_bytes)
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(int(OUTAGE_SECONDS)):
                await asyncio.sleep(1.0)
                if worker.said(PAUSED):
                    sizes.after_pause.append(worker.resident_bytes)
        finally:
            os.kill(pid, signal.SIGCONT)
        sizes.catching_up.append(worker.resident_bytes)
        await sending
        while own.landed() < sent.records:
            await asyncio.sleep(0.2)
            sizes.catching_up.append(worker.resident_bytes)
    if not sizes.after_pause:
        raise PeerFailed("the outage was too short to fill the budget")
    own.check_exact(sent.records)
    return sizes


if __name__ == "__main__":
    typer.run(memory)
