"""Kafka or ClickHouse does not answer, refuses what it is asked, or is slow. Pure."""

from collections.abc import Iterator, Sequence

from pintally.serve.conditions.facts import NAMES, STATUS, Facts, ago, command_in, said, who
from pintally.serve.state import Condition, Step

SLOW_SECONDS = 5.0  # 99% of records are to be visible by then: the objective
SLOW_STEP_SECONDS = 1.0  # a step of a flush that takes longer is the reason, unless records waited for another one
FLUSHES = 3.0  # a record waits for the flush before its own, and for its own; what waited longer did so after an outage
UNFINISHED_SECONDS = 10.0  # a flush ends about once a second
STEPS = {
    "dead_letter_topics": ("Kafka", "writing to dead-letter topics"),
    "connect": ("ClickHouse", "connecting"),
    "read_back": ("ClickHouse", "reading the ledger back"),
    "cells": ("ClickHouse", "writing cells"),
    "dead_letters": ("ClickHouse", "writing dead letters"),
    "ledger": ("ClickHouse", "writing the ledger"),
}


def away(facts: Facts) -> Iterator[Condition]:
    """An engine does not answer this process, or says no."""
    for engine, trouble in facts.look.trouble.items():
        name = NAMES[engine]
        if trouble.refuses:
            command = command_in(trouble.remedy) or STATUS
            yield said(f"{engine} refuses", "wrong", f"{name} refuses: {trouble.what}.", command, "pintallyengineaway",
                       detail=trouble.remedy, since=trouble.since)  # fmt: skip
        else:
            sentence = f"{name} does not answer. Restart it: counting then goes on by itself."
            asked = _asked(name, trouble.what, facts.kafka if engine == "kafka" else "")
            yield said(f"{engine} away", "stopped", sentence, STATUS, "pintallyengineaway",
                       detail=asked, since=trouble.since)  # fmt: skip


def _asked(name: str, what: str, address: str) -> str:
    """Where the engine was asked, and what came of it: that it does not answer, and since when, is said already."""
    said_already = " does not answer"
    if what.startswith(f"{name} has not answered"):
        return f"Questions are sent to {what.partition(': ')[2] or address or 'it'}, and no answer comes back."
    if what.startswith(name) and said_already in what:
        return f"It was asked{what.removeprefix(name).replace(said_already, '', 1)}."
    return f"{what}."


def slow(facts: Facts) -> Iterator[Condition]:
    """Flushes take so long that records are visible late."""
    fresh, steps = facts.workers.freshness_p99, facts.workers.steps
    worst = max(steps, key=lambda step: step.seconds, default=None)
    if worst is None or fresh is None or not _explains(steps, worst, fresh):
        yield from _unfinished(facts)
        return
    engine, what = STEPS[worst.step]
    sentence = f"{engine} is slow: {what} takes {worst.seconds:.1f} s, so records are visible only after {ago(fresh)}."
    detail = f"Look for a full disk, a long query or too many parts in {engine}."
    yield said("slow", "behind", sentence, STATUS, "pintallyfreshnessburnsfast", detail=detail)


def _explains(steps: Sequence[Step], worst: Step, fresh: float) -> bool:
    """Whether records are visible late because of this step."""
    if fresh <= SLOW_SECONDS or worst.seconds <= SLOW_STEP_SECONDS:
        return False
    return worst.seconds > SLOW_SECONDS or fresh <= FLUSHES * sum(step.seconds for step in steps)


def _unfinished(facts: Facts) -> Iterator[Condition]:
    """A flush that takes so long that its steps are not known yet. While it restores, a worker flushes nothing."""
    flushing = [
        worker
        for worker in facts.workers.known
        if worker.answers and worker.partitions and worker.flushed_at and not worker.restoring and not worker.away
    ]
    slowest = min(flushing, key=lambda worker: worker.flushed_at or 0.0, default=None)
    if slowest and slowest.flushed_at and facts.now - slowest.flushed_at > UNFINISHED_SECONDS:
        sentence = f"Flushes are slow: that of {who(slowest)} has not ended, and what it counted is not visible yet."
        yield said("slow", "behind", sentence, STATUS, "pintallyfreshnessburnsfast", since=slowest.flushed_at,
                   detail="Look in ClickHouse for a full disk, a long query or too many parts; and "
                   "whether the worker lacks CPU.")  # fmt: skip
