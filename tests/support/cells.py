"""Builds cells for tests of sinks, and counted records for tests of aggregates."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pintally.schemas.cells import PinMinuteRows
from pintally.schemas.decoding.decoded import Decoded
from pintally.streams.counting.outcomes import Judged

NAMES = ("source", "slice_block", "arrived_at", "action", "minute", "pin_id", "events", "version")


def cells(*rows: Sequence[int]) -> PinMinuteRows:
    """Pin-minutes of (source, slice_block, arrived_at, action, minute, pin_id, events, version)."""
    columns = dict(zip(NAMES, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(NAMES, ())
    return PinMinuteRows.of(columns[name] for name in PinMinuteRows.columns())


def rows_of(found: PinMinuteRows) -> list[tuple[int, ...]]:
    """The rows of `found` as tuples, in order."""
    return found.tuples(NAMES)


def judged(counted: Sequence[tuple[int, int]]) -> Judged:
    """A chunk whose records are all valid and in time: of each the minute (since 1970) and the pin."""
    n = len(counted)
    minutes = np.array([minute for minute, _ in counted], np.int64)
    pins = np.array([pin for _, pin in counted], np.uint64)
    decoded = replace(Decoded.blank(n), valid=np.ones(n, np.bool_), pin_id=pins, occurred_at=minutes * 60_000)
    never = np.zeros(n, np.bool_)
    return Judged(decoded, minutes * 60_000, minutes * 60_000, minutes, never, never)
