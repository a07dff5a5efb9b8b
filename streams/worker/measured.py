"""What flushes measure: how long they and their steps take, and how fresh the ledger's answer is."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from time import time
from typing import Final

from pintally.streams.counting.fold import Capture
from pintally.streams.http.exposition import Weighted, histogram
from pintally.streams.kafka.letters_refused import LettersRefused

Timed = Callable[[str], AbstractContextManager[None]]  # the step of this name takes as long as the block

OUTCOMES: Final = ("flushed", "failed", "empty")
STEPS: Final = ("dead_letter_topics", "connect", "read_back", "cells", "dead_letters", "ledger")


class Measured:
    """Of one Flusher."""

    def __init__(self) -> None:
        self.outcomes = Counter(dict.fromkeys(OUTCOMES, 0))
        self.seconds = histogram("pintally_worker_flush_seconds")
        self.steps = histogram("pintally_worker_flush_step_seconds")
        self.freshness = Weighted("pintally_worker_freshness_seconds")
        self.last_at = time()  # Unix seconds: of the last flush or look that succeeded; of the start before the first
        self.loop_delay = 0.0  # seconds, of the last flush
        self.refused: LettersRefused | None = None  # what the last flush could not write, if that was so
        for step in STEPS:  # each has a series from the start
            self.steps.labels(step)

    def step(self, name: str) -> AbstractContextManager[None]:
        """Measures one of STEPS."""
        timer: AbstractContextManager[None] = self.steps.labels(name).time()
        return timer

    def flushed(self, seconds: float, captures: Iterable[Capture]) -> None:
        """A flush succeeded; what it took of each source is visible from now on."""
        self.looked()
        self.outcomes["flushed"] += 1
        self.seconds.observe(seconds)
        for capture in captures:
            taken = capture.taken
            if taken.oldest is not None:
                seconds = max(0.0, self.last_at - taken.oldest / 1000)
                self.freshness.observe((capture.source.topic,), seconds, taken.records)

    def looked(self) -> None:
        """The ledger answered, or there is no source whose ledger could be asked."""
        self.last_at = time()
