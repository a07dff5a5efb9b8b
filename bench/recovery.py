"""How soon a worker counts again after kill -9, and what a rebalance makes it read again.

    python -m bench.recovery
    python -m bench.recovery --quick

12 partitions are filled so that each has one whole slice of 250,000 records and half of another, the worst that is not
an accident: ids of the whole one and all of the half one are to be read again. Then new records flow, the worker is
killed and started again at once under the same static name. The clock starts with the process and stops when the
ledger of every source has moved past what the log held at the kill. A worker's start (Python, Faust, joining the
group) and the flush that records the new position are inside.

The rebalance: a second worker joins, and leaves again. What stays with the first worker, or comes back within a
rebalance, keeps its state: the worker says of how many sources, and how many records it folds again.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from bench.counting import Counting, CountingWorker, counting
from bench.engines import open_engines, say
from bench.figures import RESULTS, Kept, kept
from bench.live import EQUAL, Mix, Producer, Sent
from bench.measured import cpu_seconds
from pintally.schemas.sources import Source
from pintally.streams.kafka.topics import describe_topics, group_members, read_offsets, sources_of

PARTITIONS = 4  # of each of three topics
SECONDS, SECONDS_A_PARTITION = 3.0, 1.0
SPAN_MS = 60_000
TRICKLE = 1_200  # events a second while the worker is away and comes back
TRICKLE_SECONDS = 40.0
BEGINS = "counting begins"  # a line of a worker: how many sources it has, and how many of them kept their state
POSITIONS = "SELECT source, max(position) FROM ingest_ledger GROUP BY source FORMAT TSV"
MIX = Mix(shares=EQUAL)


def recovery(
    slice_records: Annotated[int, typer.Option(min=1000, help="Offsets a block.")] = 250_000,
    quick: Annotated[bool, typer.Option("--quick", help="Slices of 20,000 records.")] = False,
    into: Annotated[Path, typer.Option(help="Folder for recovery.json.")] = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Measure, print."""
    slice_records = 20_000 if quick else slice_records
    sources = 3 * PARTITIONS
    with open_engines() as engines, tempfile.TemporaryDirectory(prefix="pintally-bench-") as folder:
        parameters = {"partitions": sources, "records a slice": slice_records, "slices filled": 1.5}
        changed = {"partitions": PARTITIONS, "slice_records": slice_records, "log_format": "json"}
        with (
            kept("recovery", engines.settings, into, as_json, parameters) as found,
            counting(engines, Path(folder), **changed) as own,
        ):
            asyncio.run(measure(own, int(1.5 * slice_records * sources), found))


async def measure(own: Counting, records: int, found: Kept) -> None:
    """Fill, count, kill, start again; then a second worker comes and goes. Raises PeerFailed."""
    sent = Sent()
    async with Producer(own.settings) as producer:
        say(f"filling {records:,} records ...")
        for batches in producer.at_once(MIX, records, int(time.time() * 1000), SPAN_MS):
            await producer.send(batches, time.monotonic(), sent)
        first = own.start("one", "INFO")
        await asyncio.to_thread(own.wait_landed, records, first)
        batches = producer.steady(MIX, TRICKLE, TRICKLE_SECONDS, int(time.time() * 1000))
        sending = asyncio.ensure_future(producer.send(batches, time.monotonic(), sent))
        await asyncio.sleep(2.0)
        again = await asyncio.to_thread(killed, own, first, found)
        await sending
    await asyncio.to_thread(own.wait_landed, sent.records, again)
    own.check_exact(sent.records)
    await asyncio.to_thread(rebalanced, own, again, found)


def killed(own: Counting, worker: CountingWorker, found: Kept) -> CountingWorker:
    """kill -9, and the way back. Blocking."""
    worker.kill()
    past = log_ends(own)
    began = time.monotonic()
    again = own.start("one", "INFO")

    def passed() -> int:
        positions = ledger_positions(own)
        return sum(positions.get(source, 0) > end for source, end in past.items())

    own.wait(lambda: passed() > 0, again)
    first = time.monotonic() - began
    own.wait(lambda: passed() == len(past), again)
    last, cpu = time.monotonic() - began, cpu_seconds([again.process.pid])
    limit = SECONDS + SECONDS_A_PARTITION * len(past)
    found.add("start to new records of the first partition flushed", first, "s")
    found.add("start to new records of all partitions flushed", last, "s", at_most=limit)
    found.add("CPU of that", cpu, "s")
    found.add("records read again", total(begun(again), "records_again"), "records")
    return again


def rebalanced(own: Counting, worker: CountingWorker, found: Kept) -> None:
    """A second worker joins: what stays with the first one is kept. Blocking."""
    before = len(begun(worker))
    other = own.start("two", "INFO")
    own.wait(lambda: len(group_members(own.settings.kafka)) == 2, worker, other)
    own.wait(lambda: total(begun(worker)[before:], "kept") > 0 and total(begun(other), "sources") > 0, worker, other)
    time.sleep(2.0)  # the last lines of the log
    after = begun(worker)[before:]
    found.add("rebalance: sources that stayed and kept their state", total(after, "kept"), "sources")
    found.add("rebalance: sources that stayed and were read again", total(after, "restored"), "sources", at_most=0)


def log_ends(own: Counting) -> dict[int, int]:
    """The end of the log of each source that has records, by the source's id."""
    topics = describe_topics(own.settings.kafka, own.settings.topics)
    sources: list[Source] = [
        source for source in sources_of(topics) if source.topic in own.settings.topics.names.values()
    ]
    return {source.id: offsets.log_end for source, offsets in read_offsets(own.settings.kafka, sources).items()}


def ledger_positions(own: Counting) -> Mapping[int, int]:
    """The highest position that the ledger has of each source, by the source's id."""
    lines = own.clickhouse.run(POSITIONS).decode().split()
    return dict(zip(map(int, lines[::2]), map(int, lines[1::2]), strict=True))


def begun(worker: CountingWorker) -> list[dict[str, int]]:
    """The fields of each line of its log that says that counting begins."""
    lines = worker.log.read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if BEGINS in line and line.endswith("}")]


def total(lines: list[dict[str, int]], field: str) -> int:
    """The sum of a field."""
    return sum(line[field] for line in lines)


if __name__ == "__main__":
    typer.run(recovery)
