"""Compares counts by minute and pin: of a log, and of the tables. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.cells import PinMinuteRows
from pintally.sinks.maintenance import CellTotals

HOUR = 3600


def totals_of(parts: Sequence[PinMinuteRows]) -> CellTotals:
    """Returns the cells, added up over slices and sources."""
    cells = PinMinuteRows.concat(parts)
    return _added(cells.minute, cells.pin_id, cells.events)


def without(totals: CellTotals, parts: Sequence[PinMinuteRows]) -> CellTotals:
    """Returns the totals minus these cells, which they contain."""
    less = totals_of(parts)
    minute, pin = np.concatenate([totals.minute, less.minute]), np.concatenate([totals.pin_id, less.pin_id])
    return _added(minute, pin, np.concatenate([totals.count, np.uint64(0) - less.count]))  # wraps around, and back


def added(parts: Sequence[CellTotals]) -> CellTotals:
    """Returns the sum of several totals."""
    none = totals_of([])
    columns = (
        np.concatenate([getattr(part, name) for part in (none, *parts)]) for name in ("minute", "pin_id", "count")
    )
    return _added(*columns)


def in_common(first: CellTotals, second: CellTotals) -> CellTotals:
    """Returns the minutes and pins that both have, with the smaller count."""
    both = [each for each in compared(first, second) if each.first and each.second]
    columns = [each.minute for each in both], [each.pin_id for each in both], [min(e.first, e.second) for e in both]
    types = (np.uint32, np.uint64, np.uint64)
    return CellTotals(*(np.array(column, dtype) for column, dtype in zip(columns, types, strict=True)))


def _added(minute: NDArray[np.uint32], pin: NDArray[np.uint64], count: NDArray[np.uint64]) -> CellTotals:
    order = np.lexsort((pin, minute))
    minute, pin, count = minute[order], pin[order], count[order]
    first = np.ones(len(minute), np.bool_)
    first[1:] = (minute[1:] != minute[:-1]) | (pin[1:] != pin[:-1])
    at = first.nonzero()[0]
    sums = np.add.reduceat(count, at) if len(at) else count
    kept = sums != 0
    return CellTotals(minute[at][kept], pin[at][kept], sums[kept])


@dataclass(frozen=True, slots=True)
class Both:
    """One minute and pin in two totals."""

    minute: int  # seconds since 1970
    pin_id: int
    first: int
    second: int


def compared(first: CellTotals, second: CellTotals) -> list[Both]:
    """Returns all minutes and pins of both totals, in order."""
    one, other = _by_key(first), _by_key(second)
    return [Both(*key, one.get(key, 0), other.get(key, 0)) for key in sorted(one.keys() | other.keys())]


def _by_key(totals: CellTotals) -> dict[tuple[int, int], int]:
    keys = zip(totals.minute.tolist(), totals.pin_id.tolist(), strict=True)
    return dict(zip(keys, totals.count.tolist(), strict=True))


def events(totals: CellTotals) -> int:
    """Returns the number of events."""
    return int(totals.count.sum())


def hours(totals: CellTotals) -> str:
    """Returns the range of hours as text."""
    first, last = (int(totals.minute[at]) // HOUR * HOUR for at in (0, -1))
    return f"{hour(first)} to {hour(last + HOUR)} UTC"


def hour(seconds: int) -> str:
    """Returns a time (seconds since 1970) as text, UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
