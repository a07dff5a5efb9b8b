"""Features of some pins at one cut: what `pintally.features.get_online_features` asks."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.cuts import Cut

AT_ONCE: Final = 10_000  # pins named in one statement: ClickHouse reads 256 KiB of it at most
COUNTS, NUMBERS, RATIOS = "UInt64", "Float64", "Nullable(Float64)"
# Of a pin without a row, which had no event in 30 days.
ABSENT: Final[dict[str, Any]] = {COUNTS: np.uint64(0), NUMBERS: 0.0, RATIOS: np.nan}

FEATURES: Final = """
SELECT pin_id, {names}
FROM pin_features(as_of = fromUnixTimestamp64Milli({published}, 'UTC'))
WHERE pin_id IN %(pins)s
"""


def read_features(
    connection: Connection, cut: Cut, pins: NDArray[np.uint64], types: dict[str, str]
) -> dict[str, NDArray[Any]]:
    """The columns of the view `pin_features` that `types` names, a row for each of `pins`, in their order.

    NaN is NULL. Every row is of the same cut. Raises SinkError, SinkUnavailable.
    """
    distinct, places = np.unique(pins, return_inverse=True)
    columns = {name: np.full(len(distinct), ABSENT[kind]) for name, kind in types.items()}
    if cut.published_at is not None:
        for some in _parts(distinct):
            found, *values = _ask(connection, cut, some, list(types))
            at = np.searchsorted(distinct, np.asarray(found, np.uint64))
            for column, given in zip(columns.values(), values, strict=True):
                column[at] = np.asarray(given, column.dtype)
    return {name: column[places] for name, column in columns.items()}


def _parts(pins: NDArray[np.uint64]) -> Iterator[tuple[int, ...]]:
    for first in range(0, len(pins), AT_ONCE):
        yield tuple(pins[first : first + AT_ONCE].tolist())


def _ask(connection: Connection, cut: Cut, pins: tuple[int, ...], names: list[str]) -> Sequence[Any]:
    assert cut.published_at is not None
    published = round(cut.published_at.timestamp() * 1000)
    sql = FEATURES.format(names=", ".join(names), published=published)
    found: Sequence[Any] = connection.execute(sql, {"pins": pins}, columnar=True)
    return found or [()] * (len(names) + 1)
