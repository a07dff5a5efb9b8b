"""CPU time of one scrape of a worker that counts 72 sources, from the first series to the last byte; no engine runs.

    python -m bench.scrape [--sources 72] [--scrapes 50]

The folds are real and hold records, histograms hold an hour of flushes; the consumer is a stand-in that knows the ends
of the logs. CPU time of this process; the median and the worst of all scrapes.
"""

import argparse
import json
import statistics
import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np

from pintally.schemas.actions import Action, replay_topic
from pintally.schemas.decoding.values import Values
from pintally.schemas.rules import Rules
from pintally.schemas.sources import Source
from pintally.streams.counting.fold import SourceFold
from pintally.streams.counting.log import Chunk
from pintally.streams.counting.slices import Base
from pintally.streams.counting.tally import Tally
from pintally.streams.http.exposition import text_of
from pintally.streams.worker.health import Health, Stage
from pintally.streams.worker.lag import caught_up
from pintally.streams.worker.measured import STEPS, Measured
from pintally.streams.worker.restoring import Restoring
from pintally.streams.worker.serving import registry_of

T0 = 1_700_000_400_000
RECORDS = 2_000  # of each source
FLUSHES = 3_600


def events(action: Action) -> Values:
    texts = [
        {"event_id": str(UUID(int=i + 1)), "action": action.label, "pin_id": str(i), "user_id": "1", "occurred_at": T0}
        for i in range(RECORDS)
    ]
    return Values.of([json.dumps(text).encode() for text in texts])


def folded(source: Source, action: Action, values: Values, tally: Tally) -> SourceFold:
    fold = SourceFold(source, action, Rules(), 1, Base(0, 0, 0, 0), None, tally)
    offsets = np.arange(RECORDS)
    fold.fold(Chunk(source.topic, source.partition, 0, RECORDS, offsets, T0 + offsets, values, lambda _: {}))
    return fold


def worker(sources: int) -> Any:
    """What the collector reads of the app."""
    topics = [(name, action) for action in Action for name in (action.topic(), replay_topic(action.topic()))]
    tables = {name: SimpleNamespace(topic=name, tally=Tally(), folds={}) for name, _ in topics}
    for number in range(sources):
        name, action = topics[number % len(topics)]
        source = Source(name, UUID(int=1), number // len(topics))
        tables[name].folds[source.partition] = folded(source, action, events(action), tables[name].tally)
    folds = [fold for table in tables.values() for fold in table.folds.values()]
    restoring = Restoring()
    restoring.begin(0.0)
    restoring.all_assigned()
    return SimpleNamespace(
        tables=SimpleNamespace(values=tables.values, folds=lambda: iter(folds), restoring=restoring, leave=folds.pop),
        flusher=SimpleNamespace(measured=flushed(list(tables))),
        consumer=SimpleNamespace(paused=False, paused_partitions=0, silence=0.1),
        settings=SimpleNamespace(worker=SimpleNamespace(max_pending_cells=5_000_000)),
        caught_up=caught_up([(fold, RECORDS) for fold in folds], {}, 0.0),
        end=lambda fold: fold.position + 100,
        rebalancing=False,
    )


def flushed(topics: list[str]) -> Measured:
    measured = Measured()
    for number in range(FLUSHES):
        measured.seconds.observe(number % 100 / 100)
        for step in STEPS:
            measured.steps.labels(step).observe(number % 100 / 1000)
        for topic in topics:
            measured.freshness.observe((topic,), number % 200 / 100, 1_000)
    return measured


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sources", type=int, default=72)
    arguments.add_argument("--scrapes", type=int, default=50)
    asked = arguments.parse_args()
    registry = registry_of(Health(Stage.RUNNING), worker(asked.sources))
    text = text_of(registry)
    took = []
    for _ in range(asked.scrapes):
        begin = time.process_time()
        text_of(registry)
        took.append((time.process_time() - begin) * 1000)
    series = sum(1 for line in text.splitlines() if not line.startswith(b"#"))
    print(f"{asked.sources} sources, {series} series, {len(text) / 1000:.0f} kB a scrape")
    print(f"CPU time of a scrape: median {statistics.median(took):.2f} ms, worst {max(took):.2f} ms")


if __name__ == "__main__":
    main()
