"""Features of some pins at one cut: what `pintally.features.get_online_features` asks.

ClickHouse finds the rows, and they are added up here. The view `pin_features` gives the same numbers, to the last bit;
of few pins it costs several times as much, because ClickHouse plans it for each question anew.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.dictionary import views
from pintally.sinks.reads.cuts import Cut
from pintally.sinks.reads.online_sql import HEAD, TABLES, moments, rows_of
from pintally.sinks.reads.online_sums import Rows, add_up, counts_in
from pintally.sinks.reads.seals import Seals, read_newest, read_seals
from pintally.sinks.reads.some_pins import in_parts
from pintally.sinks.reads.sums import Sums, features_of, sums_for


@cache
def feature_types() -> dict[str, str]:
    """All features and their types in ClickHouse, in the order of the view."""
    columns = views()["pin_features_latest"].columns
    return {each.name: each.type for each in columns if each.name not in ("pin_id", "as_of")}


def read_online(
    connection: Connection, pins: NDArray[np.uint64], types: dict[str, str]
) -> tuple[Cut, dict[str, NDArray[Any]]]:
    """The newest cut, and what `read_features` returns of it. Raises SinkError, SinkUnavailable."""
    cut, seals = read_newest(connection)
    return cut, read_features(connection, cut, pins, types, seals)


def read_features(
    connection: Connection,
    cut: Cut,
    pins: NDArray[np.uint64],
    types: dict[str, str],
    seals: Seals | None = None,
) -> dict[str, NDArray[Any]]:
    """The columns of the view `pin_features` that `types` names, a row for each of `pins`, in their order.

    NaN is NULL. A pin without a row had no event in 30 days: its counts are 0. Every row is of the same cut. `seals`
    are asked for if they are left out. Raises SinkError, SinkUnavailable.
    """
    distinct, places = np.unique(pins, return_inverse=True)
    at, names = moments(cut), sums_for(tuple(types))
    sums = {name: np.zeros(len(distinct), np.uint64) for name in names}
    if cut.published_at is not None and len(distinct):
        seals = seals or read_seals(connection, cut)
        parts = [_of_some(connection, at, some, seals, names) for some in in_parts(distinct, TABLES)]
        sums = {name: np.concatenate([part[name] for part in parts]) for name in names}
    found = features_of(sums, np.array([at["cut"]]), np.array([at["base_day"]]), types)
    return {name: values[places] for name, values in found.items()}


def _of_some(
    connection: Connection, at: Mapping[str, int], pins: tuple[int, ...], seals: Seals, names: tuple[str, ...]
) -> Sums:
    counts = counts_in(names)
    columns = connection.execute(rows_of(counts), {**at, "pins": pins}, columnar=True)
    rows = Rows.of(columns or [()] * (HEAD + 2 * len(counts)), seals, counts)
    return add_up(rows, np.array(pins, np.uint64), at, names)
