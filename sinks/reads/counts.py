"""Counts of some pins, or of all, in a range of windows: by surface or platform too."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.dimensions import Dimension
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS, TRUSTED
from pintally.sinks.reads import breakdowns
from pintally.sinks.reads.some_pins import in_parts

RESOLUTIONS: Final = ("1m", "1h", "1d")
BROKEN_DOWN: Final = ("1h", "1d")  # those with counts by surface and by platform
NAMES: Final = ("window_start", "pin_id", *COLUMNS, *TRUSTED, "is_final")
KINDS: Final[dict[str, Any]] = {"window_start": np.uint32, "is_final": np.bool_, "label": np.object_}  # else uint64


def read_counts(
    connection: Connection,
    resolution: str,
    start: int,
    end: int,
    pins: NDArray[np.uint64] | None,
    by: Dimension | None = None,
) -> dict[str, NDArray[Any]]:
    """The columns NAMES of the windows that start in [start, end), microseconds since 1970; by window, then pin.

    All pins that have events if `pins` is None. With `by`, for a resolution of BROKEN_DOWN, also a column of that name,
    after `pin_id`: a row for each of its labels, by label. Raises SinkError, SinkUnavailable.
    """
    first, last = -(-start // 10**6), -(-end // 10**6)  # windows start at a full second
    names = NAMES if by is None else breakdowns.NAMES
    nothing: Sequence[Any] = [()] * len(names)
    parts = [None] if pins is None else list(in_parts(np.unique(pins)))
    answers = [_ask(connection, resolution, first, last, some, by) for some in parts] or [nothing]
    found = {
        name: np.concatenate([np.asarray(answer[place], KINDS.get(name, np.uint64)) for answer in answers])
        for place, name in enumerate(names)
    }
    found["window_start"] = found["window_start"].astype("datetime64[s]").astype("datetime64[us]")
    return in_order({by.column if by and name == "label" else name: values for name, values in found.items()}, by)


def in_order(found: dict[str, NDArray[Any]], by: Dimension | None) -> dict[str, NDArray[Any]]:
    """The rows by window, then pin, then label."""
    names = ([by.column] if by else []) + ["pin_id", "window_start"]
    order = np.lexsort([_ranks(found[name]) for name in names])
    return {name: values[order] for name, values in found.items()}


def _ask(
    connection: Connection, resolution: str, start: int, end: int, pins: tuple[int, ...] | None, by: Dimension | None
) -> Sequence[Any]:
    if by is not None:
        read = breakdowns.read_hours if resolution == "1h" else breakdowns.read_days
        return read(connection, breakdowns.Asked(start, end, by, pins))
    these = "" if pins is None else " AND pin_id IN %(pins)s"
    shown = ("toUnixTimestamp(window_start)", *NAMES[1:])
    sql = (
        f"SELECT {', '.join(shown)} FROM pin_engagement_{resolution}"
        f" WHERE window_start >= toDateTime(%(start)s, 'UTC') AND window_start < toDateTime(%(end)s, 'UTC'){these}"
    )
    found: Sequence[Any] = connection.execute(sql, {"start": start, "end": end, "pins": pins}, columnar=True)
    return found or [()] * len(NAMES)


def _ranks(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers in the order of the values: of labels, which numpy does not sort, their ranks."""
    if values.dtype.kind != "O":
        return values
    ranks = {label: rank for rank, label in enumerate(sorted(set(values.tolist())))}
    return np.array([ranks[label] for label in values.tolist()], np.uint32)
