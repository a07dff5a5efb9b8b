"""One tree's half of `bench.profile`: folds a log again and again and says what each stage took.

`bench.profile` starts it once a tree, with PYTHONPATH naming the tree. Each line on stdin is answered by one of JSON:
stage -> microseconds of CPU an event. Functions that a tree does not have are left out.
"""

import json
import pickle
import resource
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

QUEUED = 12  # fetches unpacked before they are folded, as in a worker: caches are as cold as there
FLUSH_EVENTS = 500_000  # about a second of catching up

STAGES: tuple[tuple[str, str, str], ...] = (  # what is timed: the stage, module and function
    ("unpack", "pintally.streams.kafka.fetching.consumer", "unpack"),
    ("decode", "pintally.streams.counting.fold", "decode_by_rule"),
    ("outcomes", "pintally.streams.counting.fold", "run_stream_time"),
    ("outcomes", "pintally.streams.counting.fold", "judge"),
    ("duplicates", "pintally.streams.counting.duplicates", "SeenIds.register"),
    ("fold: cells", "pintally.streams.counting.aggregates.pin_minutes", "PinMinutes.add"),
    ("fold: cells", "pintally.streams.counting.pending", "Pending.end"),
    ("fold: letters", "pintally.streams.counting.fold", "dead_letters"),
    ("fold: letters", "pintally.streams.counting.fold", "Tally.add_letters"),
    ("fold: letters", "pintally.streams.counting.pending", "Pending.add_dead_letters"),
    ("fold: the rest", "pintally.streams.counting.fold", "SourceFold.fold"),
    ("flush: capture", "pintally.streams.counting.pending", "Pending.capture"),
    ("flush: capture", "pintally.streams.counting.pending", "Pending.acknowledge"),
    ("flush: read-back, rows, ledger", "pintally.streams.worker.flush", "write"),
)


class Stopwatch:
    """CPU seconds of each stage, in the thread that ran it, without the stages that it called."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._inner = threading.local()

    def wrap(self) -> None:
        """Put a watch around every function of STAGES that this tree has."""
        for stage, module, name in STAGES:
            __import__(module)
            owner: Any = sys.modules[module]
            *path, last = name.split(".")
            for part in path:
                owner = getattr(owner, part, None)
            if function := getattr(owner, last, None):
                setattr(owner, last, self.timed(stage, function))

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a watch around it, and around all that a generator does."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            stack: list[float] = self._inner.__dict__.setdefault("stack", [])
            stack.append(0.0)
            began = time.thread_time()
            try:
                result = function(*args, **kwargs)
                return iter(list(result)) if isinstance(result, Iterator) else result
            finally:
                took = time.thread_time() - began
                self.seconds[stage] += took - stack.pop()
                self.calls[stage] += 1
                if stack:
                    stack[-1] += took

        return timed


def fold_all(fetches: Sequence[Any]) -> int:
    """Unpack and fold a log, from an empty state; returns the number of records."""
    from aiokafka.consumer import fetcher
    from aiokafka.structs import TopicPartition

    from pintally.schemas.actions import Action
    from pintally.schemas.rules import Rules
    from pintally.schemas.sources import Source
    from pintally.streams.counting.fold import SourceFold
    from pintally.streams.counting.slices import Base
    from pintally.streams.kafka.fetching import consumer  # by this module's name of it, which the watch is put around
    from pintally.streams.kafka.fetching.record_batches import FetchedBatches

    folds = {
        action: SourceFold(Source(action.label, UUID(int=1), 0), action, Rules(), 1, Base(0, 0, 0, 0))
        for action in Action
    }
    unpack = vars(consumer)["unpack"]
    queue: list[tuple[int, Any]] = []
    records = flush = 0

    def fold_one() -> None:
        nonlocal records, flush
        action, chunk = queue.pop(0)
        folds[Action(action)].fold(chunk)
        records += len(chunk)
        if records >= flush + FLUSH_EVENTS:
            flush = records
            for fold in folds.values():
                if capture := fold.capture():
                    fold.acknowledge(capture)

    for action, offset, data, _ in fetches:
        arrived_at = FetchedBatches(bytes(bytearray(data)))  # in memory that is as fresh as a socket's
        place = TopicPartition(Action(action).label, 0)
        fetched = fetcher.PartitionRecords(place, arrived_at, None, offset, None, None, True, fetcher.READ_COMMITTED)
        queue.append((action, unpack(place, fetched)))
        if len(queue) >= QUEUED:
            fold_one()
    while queue:
        fold_one()
    return records


def main(log: str) -> None:
    """Answer each line of stdin with a round."""
    import pintally.streams.worker.app  # noqa: F401 - the heap of a worker
    from pintally.streams.worker.garbage import leave_loaded

    fetches: list[Any] = pickle.loads(Path(log).read_bytes())
    watch = Stopwatch()
    watch.wrap()
    leave_loaded()
    for _ in sys.stdin:
        watch.seconds.clear()
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
        records = fold_all(fetches)
        seconds = {**watch.seconds, "all of these": time.process_time() - began}
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        micros = {stage: each / records * 1e6 for stage, each in seconds.items()}
        print(json.dumps({**micros, "page faults": faults / records}), flush=True)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder holds a profile.py, which is not the standard library's
    main(sys.argv[1])
