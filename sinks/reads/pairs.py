"""Features of (pin, moment) pairs, each as it was known at its moment, or as hindsight knows it.

The cut of each moment is looked up here. ClickHouse reads each table once, for all distinct pairs of a pin and a cut,
and returns sums. Rates and trend are computed from them here, by the formulas of `pin_features`.
"""

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.cuts import IS_KEPT
from pintally.sinks.reads.pair_sums import Keys, read_sums
from pintally.sinks.reads.sums import features_of

Known = Literal["arrived", "event"]
# Of two rows of a cut the one that was published first holds; of equal moments the highest cut.
CUTS: Final = f"""
SELECT toUnixTimestamp(cut), argMin(hours, (published, seal)), min(published) AS first
FROM
(
    SELECT cut, toUnixTimestamp(hours_until) AS hours, toUnixTimestamp64Milli(published_at) AS published, seal
    FROM cuts
    WHERE {IS_KEPT}
)
GROUP BY cut
ORDER BY first, cut
"""
MS: Final = 1000  # microseconds


def read_pairs(
    connection: Connection,
    pins: NDArray[np.uint64],
    moments: NDArray[np.int64],
    types: dict[str, str],
    known: Known = "arrived",
) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """The cut of each pair, in seconds since 1970, and the columns of `pin_features` that `types` names.

    `moments` are in microseconds since 1970. `arrived`: what had arrived by the cut. `event`: what happened before the
    cut and arrived by now; a correction has no minute, and is of the end of its hour. The cut is 0 where none was
    published yet. Raises SinkError, SinkUnavailable.
    """
    rows = [(0, 0, 0), *connection.rows(CUTS)]  # the first stands for no cut
    cuts = np.array(rows, np.int64)
    of_pair = cuts[_newest(cuts, moments)]
    keys, place = _distinct(pins, of_pair)
    newest = int(cuts[:, 0].max())
    sums = read_sums(connection, keys, tuple(types), newest if known == "event" else None)
    found = features_of(sums, keys.cuts, keys.days, types)
    return of_pair[:, 0], {name: values[place] for name, values in found.items()}


def _newest(cuts: NDArray[np.int64], moments: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each moment the place of the highest cut that was published by then."""
    by_cut = np.argsort(cuts[:, 0])
    highest = by_cut[np.searchsorted(cuts[by_cut, 0], np.maximum.accumulate(cuts[:, 0]))]
    last = np.searchsorted(cuts[:, 2] * MS, moments, side="right") - 1
    return np.where(last < 0, 0, highest[last])


def _distinct(pins: NDArray[np.uint64], of_pair: NDArray[np.int64]) -> tuple[Keys, NDArray[np.int64]]:
    """The distinct pairs of a pin and a cut, by pin and cut, and for each pair the place of its own."""
    order = np.lexsort((of_pair[:, 0], pins))
    keys, ranks = Keys(pins[order], of_pair[order, 0], of_pair[order, 1]).by(of_pair[order, 0])
    place = np.empty(len(pins), np.int64)
    place[order] = ranks
    return keys, place
