"""Builds cells for tests of sinks."""

from collections.abc import Sequence

import numpy as np

from pintally.schemas.rows import CellRows

TYPES = (np.uint64, np.uint32, np.uint32, np.uint8, np.uint32, np.uint64, np.uint64, np.uint64)


def cells(*rows: Sequence[int]) -> CellRows:
    """Rows of (source, slice_block, arrived_at, action, minute, pin_id, count, version)."""
    columns = list(zip(*rows, strict=True)) or [()] * len(TYPES)
    return CellRows(*(np.array(column, dtype) for column, dtype in zip(columns, TYPES, strict=True)))


def rows_of(found: CellRows) -> list[tuple[int, ...]]:
    """The rows of `found` as tuples, in order."""
    names = ("source", "slice_block", "arrived_at", "action", "minute", "pin_id", "count", "version")
    return list(zip(*(getattr(found, name).tolist() for name in names), strict=True))
