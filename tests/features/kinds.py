"""The same rows as a frame of each kind."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa

KINDS = ("pandas", "polars", "arrow")
TYPES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.Table}
MAKE: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "pandas": lambda columns: pd.DataFrame(dict(columns)),
    "polars": lambda columns: pl.DataFrame(dict(columns)),
    "arrow": lambda columns: pa.table(dict(columns)),
}


def rows(frame: Any) -> list[dict[str, Any]]:
    """The rows of a frame of any kind, as Python has them; a missing value is None."""
    if isinstance(frame, pd.DataFrame):
        found = frame.to_dict("records")
        return [{name: None if pd.isna(value) else value for name, value in row.items()} for row in found]
    return list(frame.to_dicts() if isinstance(frame, pl.DataFrame) else frame.to_pylist())
