"""What pins did, as frames of pandas, Polars or Arrow: counts, top pins, and features as of any moment.

Whose kind goes in comes out; for a plain list `frame="pandas"`, "polars" or "arrow" chooses. The variables
PINTALLY_CLICKHOUSE_* say where ClickHouse is and as whom to ask. `FeatureReader` has the same functions as methods, for
another address, and keeps one connection to each server. Needs the extra `features`, which installs neither Faust nor
numba.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pintally.features.breakdowns import Breakdown, Resolution
from pintally.features.errors import (
    FeaturesError,
    NaiveTimestamps,
    NotAFrame,
    UnknownFeature,
    WrongColumn,
    WrongTime,
)
from pintally.features.frames import Kind
from pintally.features.reader import FeatureReader, Frame
from pintally.features.tops import WindowName
from pintally.schemas.errors import SinkError, SinkUnavailable
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.reads.pairs import Known

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
    "experiment",
    "get_historical_features",
    "get_online_features",
    "top",
]


def get_historical_features(
    entity_df: Frame, features: Sequence[str] | None = None, *, known: Known = "arrived"
) -> Frame:
    """What was known of pins at past moments, to train a model on what it could have seen.

    `entity_df` has a row for each example: `pin_id`, `event_timestamp` with a time zone, and any other columns. It
    comes back with its rows as they were, and behind its columns the features and `as_of`, the newest cut that was
    published at the moment. All features if none are named. `known="event"` adds what had happened before the cut but
    arrived after it: numbers with hindsight, which no model could have seen. Raises FeaturesError for a question that
    has no answer, SinkError, SinkUnavailable.
    """
    with FeatureReader() as reader:
        return reader.get_historical_features(entity_df, features, known=known)


def get_online_features(pin_ids: Any, features: Sequence[str] | None = None, *, frame: Kind | None = None) -> Any:
    """What is known of some pins now, at the newest cut.

    A row for each of `pin_ids`, a list or a column, in its order: `pin_id`, the features, `as_of`, which is the cut,
    and `published_at`, when the cut became known. `get_historical_features` gives the same numbers for that moment, so
    log it with a prediction. All features if none are named; docs/data-dictionary.md explains them (`pin_features`). A
    pin without events has counts of 0 and no rates.
    Raises FeaturesError for a question that has no answer, SinkError, SinkUnavailable.
    """
    with FeatureReader() as reader:
        return reader.get_online_features(pin_ids, features, frame=frame)


def top(
    window: WindowName | tuple[datetime, datetime] = "1h",
    by: str = "all",
    k: int = 100,
    *,
    as_of: datetime | None = None,
    live: bool = False,
    frame: Kind = "pandas",
) -> Any:
    """The k pins with the most events of one action (`by`, for example "saves"), or of all together.

    With `by="trusted"`, or for example "trusted_saves", events that are not trusted do not count.
    The window is "today", "24h", "1h" or "10m" before the cut, or (start, end) of full hours. `as_of` asks what was
    known at that moment; `live` adds what was flushed after the newest cut. Rows are exact, the highest count first,
    then by pin: `pin_id`, a column of each action and one of its trusted events, `window_start`, `as_of` and
    `published_at`, which are the cut and when it became known. Raises FeaturesError for a question that has no answer,
    SinkError, SinkUnavailable.
    """
    with FeatureReader() as reader:
        return reader.top(window, by, k, as_of=as_of, live=live, frame=frame)


def counts(
    pin_ids: Any = None,
    *,
    start: datetime,
    end: datetime,
    resolution: Resolution = "1h",
    by: Breakdown | None = None,
    frame: Kind | None = None,
) -> Any:
    """Counts of the minutes ("1m"), hours or days ("1d") that start in [start, end).

    A row for each window and pin that has events, by window and pin: `window_start`, `pin_id`, a column of each action,
    one of its trusted events (`trusted_saves`), and `is_final`: no further event will be counted in the window,
    corrections aside. With `by`, "surface" or "platform", a row for each label of the pin, in a column of that name;
    hours and days alone. `pin_ids` is a list or a column; all pins if it is left out. Raises FeaturesError for a
    question that has no answer, SinkError, SinkUnavailable.
    """
    with FeatureReader() as reader:
        return reader.counts(pin_ids, start=start, end=end, resolution=resolution, by=by, frame=frame)


def experiment(name: str, *, start: datetime, end: datetime, frame: Kind = "pandas") -> Any:
    """How the arms of an experiment differ, in the hours that start in [start, end).

    A row for each arm and metric, the control arm first: `arm`, `control`, `metric`, `value`, `difference` and its 95%
    interval from `low` to `high`, `lift` and its interval from `lift_low` to `lift_high`, `p`, `sample_ratio_p` and
    `sample_ratio_alarm`, as docs/data-dictionary.md explains them (`experiment_results`). No rows if nothing was
    counted. Raises FeaturesError for a question that has no answer, SinkError, SinkUnavailable.
    """
    with FeatureReader() as reader:
        return reader.experiment(name, start=start, end=end, frame=frame)
