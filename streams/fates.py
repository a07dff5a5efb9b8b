"""The first two fates, which need no memory but the clock: dead and late (rule 2). And why, in words."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from schemas.codec import Decoded
from schemas.fates import Fate
from schemas.rules import MINUTE_MS, Rules

Mask = NDArray[np.bool_]


def dead_and_late(
    decoded: Decoded, timestamps: NDArray[np.int64], clocks: NDArray[np.int64], rules: Rules
) -> tuple[Mask, Mask]:
    """Which records are dead, and which are late; never both.

    `timestamps` are effective ones, `clocks` include the record; all in ms. The borders stand on the side of the event
    time, which is bounded: a Kafka timestamp can be so large that adding to it wraps around.
    """
    occurred = decoded.occurred_at
    dead = ~decoded.valid
    dead |= occurred - rules.max_clock_skew_ms > timestamps
    dead |= occurred + rules.retention_ms < timestamps
    late = occurred // MINUTE_MS < (clocks - rules.allowed_lateness_ms) // MINUTE_MS
    late &= ~dead
    return dead, late


def reason(fate: Fate, occurred_at: int, timestamp: int, clock: int, rules: Rules) -> str:
    """Why a valid record is dead or late; all times in ms. What is invalid has its reason from the decoder."""
    event = f"event time {_utc(occurred_at)}"
    kafka = f"the Kafka timestamp {_utc(timestamp)}"
    if fate is Fate.LATE:
        overdue = clock - (occurred_at // MINUTE_MS + 1) * MINUTE_MS - rules.allowed_lateness_ms
        allowed = f"{_seconds(rules.allowed_lateness_ms)} after its end"
        return f"late by {_seconds(overdue)}: {event} is of a minute that closed {allowed}, at the source's clock"
    if occurred_at > timestamp:
        return f"{event} leads {kafka} by more than {_seconds(rules.max_clock_skew_ms)}"
    return f"{event} is older than the tables keep: more than {_seconds(rules.retention_ms)} before {kafka}"


def _utc(ms: int) -> str:
    seconds, rest = divmod(ms, 1000)
    if seconds >= 253_402_300_800:  # the year 10000
        return f"{ms} ms"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.10g} s"
