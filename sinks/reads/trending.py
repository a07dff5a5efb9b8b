"""The trending pins at a cut: those whose last hour is most above their own mean."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS, COUNTED
from pintally.sinks.reads.cuts import Cut, read_cut
from pintally.sinks.reads.known_rows import KnownRows, together
from pintally.sinks.reads.online import feature_types, read_features
from pintally.sinks.reads.ranking import Counts
from pintally.sinks.reads.seals import read_newest
from pintally.sinks.reads.windows import Parts, Recent, Window, recent

FEATURES: Final = ("trend_1h", *(f"{count}_1h" for count in COUNTED))
# The features are those that everybody sees at the cut, of the pins that have heavy rows in its last hour.
TRENDING: Final = f"""
SELECT pin_id, {", ".join(FEATURES)}
FROM pin_features(as_of = fromUnixTimestamp64Milli(%(published)s, 'UTC'))
WHERE pin_id IN ({{pins}})
ORDER BY trend_1h DESC, pin_id
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class TrendingPin:
    """A pin, its events of the last hour and those of them that are trusted, and its `trend_1h`."""

    pin_id: int
    counts: Counts  # in the order of schemas/actions.py
    trusted: Counts
    trend: float


@dataclass(frozen=True, slots=True)
class Trending:
    """The pins with the highest trend among those with the most events of the last hour; equal ones by pin."""

    window: Window
    cut: Cut
    pins: tuple[TrendingPin, ...]


def read_trending(
    connection: Connection, k: int = 100, *, as_of: datetime | None = None, cut: Cut | None = None
) -> Trending:
    """Returns what `pin_trending` shows, of the highest cut that was published by `as_of`, or of a `cut` that was read
    before.

    Raises SinkUnavailable or SinkError.
    """
    is_given, seals = cut is not None, None
    if cut is None:
        cut, seals = read_newest(connection) if as_of is None else (read_cut(connection, as_of), None)
    window = recent(Recent.LAST_HOUR, cut.moment)
    rows = KnownRows.read(connection, cut, Parts.of(window, cut), live=False, seals=seals)
    if cut.published_at is None or not rows.has_lists:
        return Trending(window, cut, ())
    listed = together(rows.lists("pin_id", "NOT is_rest"))
    if is_given:
        return Trending(
            window, cut, _at(connection, cut, [pin for (pin,) in connection.rows(listed, **rows.parameters)], k)
        )
    found = connection.rows(TRENDING.format(pins=listed), **rows.parameters, published=cut.published_ms, limit=k)
    return Trending(window, cut, tuple(_pin(*row) for row in found))


def _at(connection: Connection, cut: Cut, listed: Iterable[int], k: int) -> tuple[TrendingPin, ...]:
    """The same of one cut among several that were published at once: the view knows the highest of them alone."""
    pins, types = np.unique(np.array(list(listed), np.uint64)), feature_types()
    features = read_features(connection, cut, pins, {name: types[name] for name in FEATURES})
    order = np.lexsort((pins, -features[FEATURES[0]]))[:k]
    return tuple(
        _pin(*row) for row in zip(*(column[order].tolist() for column in (pins, *features.values())), strict=True)
    )


def _pin(pin: int, trend: float, *counts: int) -> TrendingPin:
    actions = len(COLUMNS)
    return TrendingPin(pin, tuple(counts[:actions]), tuple(counts[actions:]), trend)
