"""Features of some pins at one cut: what `pintally.features.get_online_features` asks."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.dictionary import views
from pintally.sinks.reads.cuts import Cut
from pintally.sinks.reads.some_pins import in_parts

COUNTS, NUMBERS, RATIOS = "UInt64", "Float64", "Nullable(Float64)"
# Of a pin without a row, which had no event in 30 days.
ABSENT: Final[dict[str, Any]] = {COUNTS: np.uint64(0), NUMBERS: 0.0, RATIOS: np.nan}

FEATURES: Final = """
SELECT pin_id, {names}
FROM pin_features(as_of = fromUnixTimestamp64Milli({published}, 'UTC'))
WHERE pin_id IN %(pins)s
"""


@cache
def feature_types() -> dict[str, str]:
    """All features and their types in ClickHouse, in the order of the view."""
    columns = views()["pin_features_latest"].columns
    return {each.name: each.type for each in columns if each.name not in ("pin_id", "as_of")}


def read_features(
    connection: Connection, cut: Cut, pins: NDArray[np.uint64], types: dict[str, str]
) -> dict[str, NDArray[Any]]:
    """The columns of the view `pin_features` that `types` names, a row for each of `pins`, in their order.

    NaN is NULL. Every row is of the same cut. Raises SinkError, SinkUnavailable.
    """
    distinct, places = np.unique(pins, return_inverse=True)
    columns = {name: np.full(len(distinct), ABSENT[kind]) for name, kind in types.items()}
    if cut.published_at is not None:
        for some in in_parts(distinct):
            found, *values = _ask(connection, cut, some, list(types))
            at = np.searchsorted(distinct, np.asarray(found, np.uint64))
            for column, given in zip(columns.values(), values, strict=True):
                column[at] = np.asarray(given, column.dtype)
    return {name: column[places] for name, column in columns.items()}


def _ask(connection: Connection, cut: Cut, pins: tuple[int, ...], names: list[str]) -> Sequence[Any]:
    sql = FEATURES.format(names=", ".join(names), published=cut.published_ms)
    found: Sequence[Any] = connection.execute(sql, {"pins": pins}, columnar=True)
    return found or [()] * (len(names) + 1)
