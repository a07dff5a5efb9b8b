"""Features of (pin, moment) pairs, each as it was known at its moment."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.reads.cuts import NOTHING_KNOWN, Cut
from pintally.sinks.reads.online import read_features

# A cut counts from its first publication on.
CUTS: Final = """
SELECT toUnixTimestamp(cut) AS c, toUnixTimestamp(hours_until), min(toUnixTimestamp64Milli(published_at)) AS published
FROM cuts
WHERE hours_until >= toStartOfDay(now('UTC')) - INTERVAL 88 DAY
GROUP BY cut, hours_until
ORDER BY published, c
"""
EPOCH: Final = datetime.fromtimestamp(0, UTC)


def read_pairs(
    connection: Connection, pins: NDArray[np.uint64], moments: NDArray[np.int64], types: dict[str, str]
) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """The cut of each pair, in seconds since 1970, and the columns of `pin_features` that `types` names.

    `moments` are in microseconds since 1970. One query for each cut. Raises SinkError, SinkUnavailable.
    """
    cuts = [
        Cut(cut, until, EPOCH + timedelta(milliseconds=published)) for cut, until, published in connection.rows(CUTS)
    ]
    newest = np.maximum.accumulate(np.array([cut.moment for cut in cuts], np.int64))
    published = np.array([(cut.published_at or EPOCH) - EPOCH for cut in cuts], "timedelta64[us]").astype(np.int64)
    place = np.searchsorted(published, moments, side="right") - 1
    of_pair = np.where(place < 0, 0, newest[place]) if len(cuts) else np.zeros(len(moments), np.int64)
    by_moment = {cut.moment: cut for cut in reversed(cuts)}
    found: dict[str, NDArray[Any]] = {}
    for moment in np.unique(of_pair).tolist():
        chosen = of_pair == moment
        at = read_features(connection, by_moment.get(moment, NOTHING_KNOWN), pins[chosen], types)
        for name, values in at.items():
            found.setdefault(name, np.empty(len(pins), values.dtype))[chosen] = values
    return of_pair, found or read_features(connection, NOTHING_KNOWN, pins, types)
