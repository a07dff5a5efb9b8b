"""Kafka or ClickHouse is away, refuses what it is asked, or is slow. Pure."""

from collections.abc import Iterator

from pintally.serve.conditions.facts import NAMES, STATUS, Facts, ago, command_in, said
from pintally.serve.state import Condition

SLOW_SECONDS = 5.0  # 99% of records are to be visible by then: the objective
SLOW_STEP_SECONDS = 1.0  # a step of a flush that takes longer is the reason
STEPS = {"connect": "clickhouse", "read_back": "clickhouse", "cells": "clickhouse", "dead_letters": "clickhouse",
         "ledger": "clickhouse", "dead_letter_topics": "kafka"}  # fmt: skip


def away(facts: Facts) -> Iterator[Condition]:
    """An engine does not answer this process, or says no."""
    for engine, trouble in facts.look.trouble.items():
        name = NAMES[engine]
        if trouble.refuses:
            command = command_in(trouble.remedy) or STATUS
            yield said(f"{engine} refuses", "wrong", f"{name} refuses: {trouble.what}.", command, "pintallyengineaway",
                       detail=trouble.remedy, since=trouble.since)  # fmt: skip
        else:
            sentence = (
                f"{name} is away: it has not answered for {ago(facts.now - trouble.since)}. Bring it back; nothing is "
                "lost, and workers go on by themselves."
            )
            yield said(f"{engine} away", "stopped", sentence, STATUS, "pintallyengineaway",
                       detail=f"{trouble.what}.", since=trouble.since)  # fmt: skip


def slow(facts: Facts) -> Iterator[Condition]:
    """Flushes take so long that records are visible late."""
    fresh, steps = facts.workers.freshness_p99, facts.workers.steps
    worst = max(steps, key=lambda step: step.seconds, default=None)
    if worst is None or fresh is None or fresh <= SLOW_SECONDS or worst.seconds <= SLOW_STEP_SECONDS:
        return
    engine = NAMES[STEPS.get(worst.step, "clickhouse")]
    sentence = (
        f"{engine} is slow: the step `{worst.step.replace('_', ' ')}` of a flush takes {worst.seconds:.1f} s, so "
        f"records are visible only after {ago(fresh)}."
    )
    detail = f"Nothing is lost. Look for a full disk, a long query or too many parts in {engine}."
    yield said("slow", "behind", sentence, STATUS, "pintallyfreshnessburnsfast", detail=detail)
