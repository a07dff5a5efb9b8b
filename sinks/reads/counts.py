"""Counts of some pins, or of all, in a range of windows: what `pintally.features.counts` asks."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS
from pintally.sinks.reads.some_pins import in_parts

RESOLUTIONS: Final = ("1m", "1h", "1d")
NAMES: Final = ("window_start", "pin_id", *COLUMNS, "is_final")
_NOTHING: Final[Sequence[Any]] = [()] * len(NAMES)
KINDS: Final = {"window_start": np.uint32, "is_final": np.bool_}  # all others are uint64


def read_counts(
    connection: Connection, resolution: str, start: int, end: int, pins: NDArray[np.uint64] | None
) -> dict[str, NDArray[Any]]:
    """The columns NAMES of the windows that start in [start, end), microseconds since 1970; by window, then pin.

    All pins that have events if `pins` is None. Raises SinkError, SinkUnavailable.
    """
    parts = [None] if pins is None else list(in_parts(np.unique(pins)))
    answers = [_ask(connection, resolution, start, end, some) for some in parts] or [_NOTHING]
    found = {
        name: np.concatenate([np.asarray(answer[place], KINDS.get(name, np.uint64)) for answer in answers])
        for place, name in enumerate(NAMES)
    }
    found["window_start"] = found["window_start"].astype("datetime64[s]").astype("datetime64[us]")
    order = np.lexsort((found["pin_id"], found["window_start"]))
    return {name: values[order] for name, values in found.items()}


def _ask(connection: Connection, resolution: str, start: int, end: int, pins: tuple[int, ...] | None) -> Sequence[Any]:
    these = "" if pins is None else " AND pin_id IN %(pins)s"
    shown = ("toUnixTimestamp(window_start)", *NAMES[1:])
    sql = (
        f"SELECT {', '.join(shown)} FROM pin_engagement_{resolution}"
        f" WHERE window_start >= toDateTime(%(start)s, 'UTC') AND window_start < toDateTime(%(end)s, 'UTC'){these}"
    )
    parameters = {"start": -(-start // 10**6), "end": -(-end // 10**6), "pins": pins}  # windows start at a full second
    found: Sequence[Any] = connection.execute(sql, parameters, columnar=True)
    return found or _NOTHING
