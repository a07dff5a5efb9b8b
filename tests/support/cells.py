"""Builds cells for tests of sinks, and counted records for tests of aggregates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pintally.schemas.cells import CellRows, PinMinuteRows
from pintally.schemas.decoding.decoded import Decoded, Experiments
from pintally.schemas.decoding.labels import Labels
from pintally.schemas.label_column import UNKNOWN
from pintally.streams.counting.outcomes import Judged

NAMES = ("source", "slice_block", "arrived_at", "action", "minute", "pin_id", "events", "version")
BROKEN_DOWN = (*NAMES, "surface", "platform", "trusted")


def cells(*rows: Sequence[int | str]) -> PinMinuteRows:
    """Pin-minutes of (source, slice_block, arrived_at, action, minute, pin_id, events, version), and surface, platform
    and trusted; of rows without the last three neither label is known, and all events are trusted.
    """
    whole = [(*row, UNKNOWN, UNKNOWN, row[6])[: len(BROKEN_DOWN)] for row in rows]
    columns = dict(zip(BROKEN_DOWN, zip(*whole, strict=True) if rows else [()] * len(BROKEN_DOWN), strict=True))
    return PinMinuteRows.of(columns[name] for name in PinMinuteRows.columns())


def only_pin_minutes(taken: Sequence[CellRows]) -> PinMinuteRows:
    """What a flush took where the rules count pin-minutes alone."""
    [rows] = taken
    assert isinstance(rows, PinMinuteRows)
    return rows


def rows_of(found: PinMinuteRows) -> list[tuple[int, ...]]:
    """The rows of `found` as tuples without labels and trusted counts, in order."""
    return found.tuples(NAMES)


def broken_down(found: PinMinuteRows) -> list[tuple[int | str, ...]]:
    """The rows of `found` as tuples, in order."""
    return found.tuples(BROKEN_DOWN)


@dataclass(frozen=True)
class Counted:
    """A counted record, as aggregates see it."""

    minute: int  # since 1970
    pin: int
    user: int = 0
    surface: str | None = None
    platform: str | None = None
    experiments: tuple[tuple[str, str], ...] = ()


def judged(counted: Sequence[Counted], labels: Labels | None = None) -> Judged:
    """A chunk whose records are all valid and in time. `labels` has the numbers of the decoder."""
    n, labels = len(counted), labels or Labels()
    minutes = np.array([record.minute for record in counted], np.int64)
    decoded = replace(
        Decoded.blank(n),
        valid=np.ones(n, np.bool_),
        pin_id=np.array([record.pin for record in counted], np.uint64),
        user_id=np.array([record.user for record in counted], np.uint64),
        surface=np.array([labels.number(record.surface) for record in counted], np.uint32),
        platform=np.array([labels.number(record.platform) for record in counted], np.uint32),
        labels=labels,
        experiments=experiments_of(counted, labels),
        occurred_at=minutes * 60_000,
    )
    never = np.zeros(n, np.bool_)
    return Judged(decoded, minutes * 60_000, minutes * 60_000, minutes, never, never, ~never)


def experiments_of(counted: Sequence[Counted], labels: Labels) -> Experiments:
    """The arms of the records, as the decoder gives them."""
    pairs = [[labels.number(name) << 32 | labels.number(arm) for name, arm in each.experiments] for each in counted]
    offsets = np.cumsum([0, *map(len, pairs)], dtype=np.int64)
    return Experiments(offsets, np.array([pair for each in pairs for pair in each], np.uint64))
