"""Microseconds an event of the pure fold, stage by stage, on generated data; no engine runs.

    python -m bench.fold [--events 2000000] [--chunk 5000] [--partitions 1]

Chunks of 5,000 records, slices of 250,000 offsets, Zipf-like pins, event times over 80 minutes, 1% duplicates and 0.2%
late. A stage is timed inside the whole fold, so that caches are as cold as they are in a worker. CPU time of this
process; the best of three runs, because the machine is shared.
"""

import argparse
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock
from uuid import UUID

import numpy as np

from pintally.schemas.actions import Action
from pintally.schemas.decoding.decoded import Decoded
from pintally.schemas.decoding.values import Values
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting import fold as fold_module
from pintally.streams.counting.aggregates import PinMinutes
from pintally.streams.counting.duplicates import SeenIds
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.log import Chunk
from pintally.streams.counting.pending import Pending
from pintally.streams.counting.slices import Base

T0 = 1_700_000_400_000
EVENTS_A_SECOND = 2_000  # of one source: a slice of 250,000 records is 125 s of traffic


def make_chunks(events: int, size: int, partition: int) -> list[tuple[Chunk, Decoded]]:
    """Chunks beside what decoding them gives: decoding is measured elsewhere."""
    rng = np.random.default_rng(partition)
    return [_make_chunk(rng, start, size, partition) for start in range(0, events, size)]


def _make_chunk(rng: np.random.Generator, start: int, n: int, partition: int) -> tuple[Chunk, Decoded]:
    offsets = np.arange(start, start + n)
    timestamps = T0 + offsets * 1000 // EVENTS_A_SECOND
    lag = np.minimum(rng.exponential(60_000, n), 60 * 60_000 - 1).astype(np.int64)  # most are fresh, some an hour old
    spread = rng.random(n) < 0.3
    lag[spread] = rng.integers(0, 60 * 60_000, np.count_nonzero(spread))
    late = rng.random(n) < 0.002
    lag[late] = rng.integers(62 * 60_000, 80 * 60_000, np.count_nonzero(late))
    ids = np.column_stack((offsets, offsets)).astype(np.uint64)
    again = rng.random(n) < 0.01
    ids[again] = np.maximum(offsets[again] - rng.integers(1, 100_000, np.count_nonzero(again)), 0)[:, None]
    ids = (ids + np.uint64(1)) * np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], np.uint64)
    pins = np.minimum(rng.zipf(1.2, n), 2_000_000).astype(np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    values = Values.of([b""] * n)
    chunk = Chunk(
        f"t{partition}", partition, start, start + n, offsets, timestamps, values,
        lambda wanted: dict.fromkeys(wanted, (None, ())),
    )  # fmt: skip
    blank = Decoded.blank(n)
    return chunk, replace(blank, valid=np.ones(n, np.bool_), pin_id=pins, occurred_at=timestamps - lag, event_id=ids)


class Stopwatch:
    """Seconds by stage, measured by wrapping the functions that the fold calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.thread_time()
        yield
        self.seconds[name] += time.thread_time() - begin

    def wrap(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                result = function(*args, **kwargs)
                return iter(list(result)) if isinstance(result, Iterator) else result

        return timed


def run(parts: list[list[tuple[Chunk, Decoded]]], rules: Rules, flush_every: int, by_stage: bool) -> dict[str, float]:
    """Fold everything, partitions in turn, a flush after every `flush_every` chunks; seconds by stage."""
    watch = Stopwatch()
    folds = [
        SourceFold(Source(f"t{i}", UUID(int=1), i), Action.SAVE, rules, 1, Base(0, 0, 0, 0)) for i in range(len(parts))
    ]
    decoded_of = {id(chunk.values): decoded for part in parts for chunk, decoded in part}
    patches = [mock.patch.object(fold_module, "decode_by_rule", lambda values, *_: decoded_of[id(values)])]
    if by_stage:
        patches += [
            mock.patch.object(owner, name, watch.wrap(stage, getattr(owner, name)))
            for stage, owner, name in (
                ("stream time", fold_module, "run_stream_time"),
                ("invalid and late", fold_module, "judge"),
                ("cut into slices", fold_module, "cut"),
                ("ids and duplicates", SeenIds, "register"),
                ("cells (sorting included)", PinMinutes, "add"),
                ("cells at a slice's end", Pending, "end"),
            )
        ]
    for patch in patches:
        patch.start()
    try:
        rows = 0
        for i, turn in enumerate(zip(*parts, strict=True)):
            for fold, (chunk, _) in zip(folds, turn, strict=True):
                with watch.stage("whole fold"):
                    fold.fold(chunk)
            if i % flush_every == flush_every - 1:
                for fold in folds:
                    with watch.stage("capture and acknowledge"):
                        capture = fold.capture(ended_only=flush_every == 1)
                        if capture:
                            rows += sum(map(len, capture.cells))
                            fold.acknowledge(capture)
    finally:
        for patch in patches:
            patch.stop()
    watch.seconds["rows"] = rows
    watch.seconds["bytes"] = sum(fold.nbytes for fold in folds)
    return watch.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_500_000, help="of each partition")
    parser.add_argument("--chunk", type=int, default=5_000)
    parser.add_argument("--partitions", type=int, default=1)
    parser.add_argument("--flush-every", type=int, default=1, help="chunks; 1: ended slices only, as far behind")
    args = parser.parse_args()
    parts = [make_chunks(args.events, args.chunk, i) for i in range(args.partitions)]
    total = sum(len(chunk) for part in parts for chunk, _ in part)
    rules = Rules()
    whole = min((run(parts, rules, args.flush_every, False) for _ in range(3)), key=lambda s: s["whole fold"])
    staged = min((run(parts, rules, args.flush_every, True) for _ in range(3)), key=lambda s: s["whole fold"])
    print(f"{total:,} events, chunks of {args.chunk:,}, {args.partitions} partitions, ", end="")
    print(f"{whole['rows'] / total:.2f} rows an event, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
    for stage, seconds in staged.items():
        if stage not in ("whole fold", "capture and acknowledge", "rows", "bytes"):
            print(f"  {stage:28} {seconds / total * 1e6:.3f} us an event")
    for stage in ("whole fold", "capture and acknowledge"):
        print(f"{stage:30} {whole[stage] / total * 1e6:.3f} us an event, without the stages' stopwatches")
    print(f"{'a chunk':30} {whole['whole fold'] / total * args.chunk * 1e6:.1f} us")


if __name__ == "__main__":
    main()
