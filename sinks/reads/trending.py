"""The trending pins at a cut: those whose last hour is most above their own mean."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS, COUNTED
from pintally.sinks.reads.cuts import Cut, read_cut
from pintally.sinks.reads.known_rows import KnownRows, together
from pintally.sinks.reads.ranking import Counts
from pintally.sinks.reads.seals import read_newest
from pintally.sinks.reads.windows import Parts, Recent, Window, recent

FEATURES: Final = ("trend_1h", *(f"{count}_1h" for count in COUNTED))
# The features are those that everybody sees as of the cut, of the pins that have heavy rows in its last hour.
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
    seals = None
    if cut is None:
        cut, seals = read_newest(connection) if as_of is None else (read_cut(connection, as_of), None)
    window = recent(Recent.LAST_HOUR, cut.moment)
    rows = KnownRows.read(connection, cut, Parts.of(window, cut), live=False, seals=seals)
    if cut.published_at is None or not rows.has_lists:
        return Trending(window, cut, ())
    sql = TRENDING.format(pins=together(rows.lists("pin_id", "NOT is_rest")))
    found = connection.rows(sql, **rows.parameters, published=cut.published_ms, limit=k)
    return Trending(window, cut, tuple(_pin(*row) for row in found))


def _pin(pin: int, trend: float, *counts: int) -> TrendingPin:
    actions = len(COLUMNS)
    return TrendingPin(pin, tuple(counts[:actions]), tuple(counts[actions:]), trend)
