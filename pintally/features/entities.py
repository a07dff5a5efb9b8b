"""What is asked about: pins and moments, out of frames, columns, lists and datetimes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from pintally.features.errors import NaiveTimestamps, NotAFrame, WrongColumn
from pintally.features.frames import Kind, kind_of, series_of

PIN_ID: Final = "pin_id"
EVENT_TIMESTAMP: Final = "event_timestamp"


def column(frame: nw.DataFrame[Any], name: str) -> nw.Series[Any]:
    """A column without nulls. Raises WrongColumn if it is missing or holds one."""
    if name not in frame.columns:
        raise WrongColumn(
            f"the frame has no column {name!r}, it has {', '.join(map(repr, frame.columns)) or 'none'}",
            f"Name the column of pins {PIN_ID!r} and that of moments {EVENT_TIMESTAMP!r}.",
        )
    return _whole(frame[name], name)


def pins_of(pin_ids: Any) -> tuple[NDArray[np.uint64], Kind | None]:
    """Pins of a column, with the library that it is of, or of anything with whole numbers in it.

    Raises NotAFrame, WrongColumn.
    """
    series = series_of(pin_ids)
    if series is not None:
        return pins_in(_whole(series, "pin_ids"), "pin_ids"), kind_of(series)
    no_list = isinstance(pin_ids, str | bytes | Mapping) or not isinstance(pin_ids, Iterable)
    if no_list or hasattr(pin_ids, "columns") or getattr(pin_ids, "ndim", 1) != 1:
        raise NotAFrame(f"pin_ids is a {type(pin_ids).__qualname__}", "Give a list of numbers, or a column of them.")
    if isinstance(pin_ids, np.ndarray):
        return _unsigned(pin_ids.tolist(), "pin_ids", str(pin_ids.dtype)), None
    return _unsigned(list(pin_ids), "pin_ids"), None


def pins_in(series: nw.Series[Any], name: str) -> NDArray[np.uint64]:
    """The pins of a column. Raises WrongColumn where one is no unsigned 64-bit number."""
    if not len(series):  # of any type: of no values a library knows none
        return np.zeros(0, np.uint64)
    if not series.dtype.is_integer():
        raise _no_pin(name, f"is of type {series.dtype}")
    for extreme in (series.min(), series.max()):  # Polars has integers of 128 bits
        if not 0 <= extreme < 1 << 64:
            raise _no_pin(name, f"holds {extreme}")
    return series.cast(nw.UInt64).to_numpy()


def moments_in(series: nw.Series[Any], name: str) -> NDArray[np.int64]:
    """Microseconds since 1970, rounded down. Raises NaiveTimestamps, WrongColumn."""
    kind = series.dtype
    if not isinstance(kind, nw.Datetime):
        raise WrongColumn(
            f"column {name!r} is of type {kind}, not of times",
            "Make times of it; in pandas: pandas.to_datetime(column, utc=True).",
        )
    if kind.time_zone is None:
        raise NaiveTimestamps(
            f"column {name!r} has times without a time zone",
            "Say which one it is. For UTC, in pandas: .dt.tz_localize('UTC'); in Polars: .dt.replace_time_zone('UTC'); "
            "in Arrow: pyarrow.compute.assume_timezone(column, 'UTC').",
        )
    return series.dt.timestamp("us").to_numpy().astype(np.int64)


def moment(value: object, name: str) -> int:
    """Microseconds since 1970. Raises NaiveTimestamps, WrongColumn."""
    if not isinstance(value, datetime):
        raise WrongColumn(f"{name} is a {type(value).__qualname__}", "Give a datetime with a time zone.")
    if value.tzinfo is None:
        raise NaiveTimestamps(f"{name}, {value.isoformat()}, has no time zone", "Give one, as tzinfo=datetime.UTC.")
    return int(np.datetime64(value.astimezone(UTC).replace(tzinfo=None), "us").astype(np.int64))


def _whole(series: nw.Series[Any], name: str) -> nw.Series[Any]:
    if nulls := series.null_count():
        raise WrongColumn(f"{name!r} holds {nulls} nulls", "Drop these rows.")
    return series


def _unsigned(numbers: list[Any], name: str, kind: str = "") -> NDArray[np.uint64]:
    for number in numbers:
        if not isinstance(number, int | np.integer) or isinstance(number, bool):
            raise _no_pin(name, f"is of type {kind}" if kind else f"holds {number!r}")
        if not 0 <= number < 1 << 64:
            raise _no_pin(name, f"holds {number}")
    return np.array(numbers, np.uint64)


def _no_pin(name: str, what: str) -> WrongColumn:
    return WrongColumn(
        f"{name!r} {what}: pins are whole numbers from 0 to 2^64 - 1",
        "Read them as such from the start (uint64), or as text and then int(text): a float has rounded large ids.",
    )
