"""What pins did, as frames of pandas, Polars or Arrow: counts, top pins, and features as of any moment.

Whose kind goes in comes out; for a plain list `frame="pandas"`, "polars" or "arrow" chooses. The variables
PINTALLY_CLICKHOUSE_* say where ClickHouse is and as whom to ask. `FeatureReader` has the same functions as methods, for
another address, and keeps one connection. Needs the extra `features`, which installs neither Faust nor numba.
"""

from datetime import datetime
from typing import Any

from pintally.features.errors import (
    FeaturesError,
    NaiveTimestamps,
    NotAFrame,
    UnknownFeature,
    WrongColumn,
    WrongTime,
)
from pintally.features.frames import Kind
from pintally.features.reader import FeatureReader, Resolution
from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.sinks.clickhouse.address import ClickHouseAddress

__all__ = [
    "ClickHouseAddress",
    "FeatureReader",
    "FeaturesError",
    "NaiveTimestamps",
    "NotAFrame",
    "SinkError",
    "SinkUnavailable",
    "UnknownFeature",
    "WrongColumn",
    "WrongTime",
    "counts",
]


def counts(
    pin_ids: Any = None,
    *,
    start: datetime,
    end: datetime,
    resolution: Resolution = "1h",
    frame: Kind | None = None,
) -> Any:
    """Counts of the minutes ("1m"), hours or days ("1d") that start in [start, end).

    A row for each window and pin that has events, by window and pin: `window_start`, `pin_id`, a column of each action,
    and `is_final`: no further event will be counted in the window, corrections aside. `pin_ids` is a list or a column;
    all pins if it is left out. Raises FeaturesError for a question that has no answer, SinkError, SinkUnavailable.
    """
    with FeatureReader() as reader:
        return reader.counts(pin_ids, start=start, end=end, resolution=resolution, frame=frame)
