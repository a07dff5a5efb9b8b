"""Frames of pandas, Polars and Arrow: whose kind goes in comes out."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from pintally.features.errors import NotAFrame

Kind = Literal["pandas", "polars", "arrow"]
Columns = Mapping[str, NDArray[Any]]  # NaN is a null, and datetime64 is UTC

BACKENDS: Final[dict[str, Any]] = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow"}
KINDS: Final[dict[str, Kind]] = {"pandas": "pandas", "polars": "polars", "pyarrow": "arrow"}


def opened(frame: Any) -> nw.DataFrame[Any]:
    """A frame of pandas, Polars or Arrow. Raises NotAFrame."""
    found: nw.DataFrame[Any] | None
    try:
        found = nw.from_native(frame, eager_only=True)
    except TypeError:
        found = None
    if found is None or found.implementation.value not in KINDS:
        raise NotAFrame(
            f"{_class(frame)} is no frame of rows",
            "Give a pandas.DataFrame, a polars.DataFrame (of a LazyFrame: .collect()) or a pyarrow.Table.",
        )
    return found


def series_of(values: Any) -> nw.Series[Any] | None:
    """A column of pandas, Polars or Arrow; None for anything else."""
    if hasattr(values, "__arrow_c_array__") and not hasattr(values, "schema"):  # a pyarrow.Array
        import pyarrow

        values = pyarrow.chunked_array([values])
    elif _class(values).startswith("pandas.") and hasattr(values, "to_series"):  # a pandas.Index
        values = values.to_series()
    try:
        found = nw.from_native(values, series_only=True)
    except TypeError:
        return None
    return found if found.implementation.value in KINDS else None


def kind_of(opened: nw.DataFrame[Any] | nw.Series[Any]) -> Kind:
    """The library that a frame or column is of."""
    return KINDS[opened.implementation.value]


def with_columns(frame: nw.DataFrame[Any], columns: Columns) -> Any:
    """The frame in its own kind, with its rows as they were, and these columns behind its own."""
    backend = BACKENDS[kind_of(frame)]
    return frame.with_columns(*(_series(name, values, backend) for name, values in columns.items())).to_native()


def framed(columns: Columns, kind: Kind) -> Any:
    """A frame of a kind. Raises NotAFrame if there is no such kind, or its library is not installed."""
    if kind not in BACKENDS:
        raise NotAFrame(f"there is no kind of frame {kind!r}", f"Choose one of {', '.join(BACKENDS)}.")
    backend = BACKENDS[kind]
    try:
        first, *others = (_series(name, values, backend) for name, values in columns.items())
        return first.to_frame().with_columns(*others).to_native()
    except ModuleNotFoundError as error:
        raise NotAFrame(f"frame={kind!r} needs {backend}", f"Run: python -m pip install {backend}") from error


def _series(name: str, values: NDArray[Any], backend: Any) -> nw.Series[Any]:
    if values.dtype.kind == "O" and not len(values):  # strings; of no rows a library knows no type
        values = values.astype(np.str_)
    series = nw.Series.from_numpy(name, values, backend=backend)
    if values.dtype.kind == "M":
        return series.dt.replace_time_zone("UTC")
    return series.fill_nan(None) if values.dtype.kind == "f" and backend != "pandas" else series


def _class(of: Any) -> str:
    return f"{type(of).__module__}.{type(of).__qualname__}"
