"""Features out of sums, by the formulas of the view `pin_features`, to the last bit."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.schemas.actions import Action
from pintally.sinks.clickhouse.per_action import COLUMNS

HOUR: Final = 3600
ONE: Final = 2**20  # the weight of an event of age 0
Sums = dict[str, NDArray[np.uint64]]  # by name, for instance saves_24h or saves_decayed_6h, the latter times ONE


def sums_for(names: tuple[str, ...]) -> tuple[str, ...]:
    """The sums that these features are made of."""
    needed = dict.fromkeys(name for feature in names for name in _parts(feature))
    return tuple(needed)


def _parts(feature: str) -> tuple[str, ...]:
    if feature == "trend_1h":
        return tuple(f"{column}_{window}" for window in ("1h", "7d") for column in COLUMNS)
    label, is_rate, window = feature.partition("_rate_")
    if is_rate:
        return f"{_column(label)}_{window}", f"{Action.CLOSEUP.column}_{window}"
    return (feature,)


def _column(label: str) -> str:
    return next(action.column for action in Action if action.label == label)


def features_of(
    sums: Sums, cuts: NDArray[np.int64], days: NDArray[np.int64], names: dict[str, str]
) -> dict[str, NDArray[Any]]:
    """The features of pins at `cuts`. `days`: the day of `hours_until` of each. NaN is NULL."""
    return {name: _feature(name, sums, cuts, days) for name in names}


def _feature(name: str, sums: Sums, cuts: NDArray[np.int64], days: NDArray[np.int64]) -> NDArray[Any]:
    parts = _parts(name)
    if name == "trend_1h":
        x, week = (
            np.add.reduce([sums[part] for part in half]) for half in (parts[: len(COLUMNS)], parts[len(COLUMNS) :])
        )
        mean = (week - x).astype(np.int64) / ((cuts - days) / HOUR + 167)
        trend: NDArray[np.float64] = (x - mean) / np.sqrt(mean + 1)
        return trend
    if len(parts) == 2:
        count, closeups = (sums[part].astype(np.float64) for part in parts)
        rate: NDArray[np.float64] = np.divide(count, closeups, out=np.full(len(count), np.nan), where=closeups != 0)
        return rate
    return sums[name] / ONE if "_decayed_" in name else sums[name]
