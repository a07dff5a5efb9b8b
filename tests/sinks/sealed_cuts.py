"""Cells that are known at cuts: what the tests of features share.

`sealed(address, *cells, until=...)` writes cells and publishes every cut up to `until`. `known(address, cut)` adds up
what the tables of features hold for a reader of a cut, `counted(address, cut)` the cells, both by hour and pin.
"""

from collections.abc import Iterable
from typing import Any

from pintally.schemas.cells import CellRows
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from tests.sinks.sealing import read, write

TEN = 600
HOUR = 3600
Counts = dict[tuple[int, int], tuple[int, ...]]  # (hour, pin) -> saves, clicks, close-ups

# Hours that are complete from their rows and corrections, the others from tiles, as docs/decisions/0017 says.
KNOWN = """
WITH
    (SELECT max(hours_until) FROM cuts WHERE cut = toDateTime({cut}, 'UTC')) AS hours_until,
    (SELECT groupArray((toString(kind), window_start, rows_seal)) FROM feature_seals FINAL WHERE rows_seal > 0) AS seals
SELECT toUnixTimestamp(hour) AS h, pin_id, sum(s), sum(c), sum(u) FROM
(
    SELECT toStartOfHour(window_start) AS hour, pin_id, saves AS s, clicks AS c, closeups AS u FROM pin_tiles
    WHERE window_start >= hours_until AND arrived_at < toDateTime({cut}, 'UTC')
        AND has(seals, ('tiles', arrived_at, seal))
    UNION ALL
    SELECT window_start, pin_id, saves, clicks, closeups FROM pin_hours_by_pin
    WHERE window_start < hours_until AND has(seals, ('hours', window_start, seal))
    UNION ALL
    SELECT window_start, pin_id, saves, clicks, closeups FROM pin_corrections
    WHERE window_start < hours_until AND known_from <= toDateTime({cut}, 'UTC')
        AND has(seals, ('tiles', known_from - INTERVAL 10 MINUTE, seal))
)
GROUP BY h, pin_id
"""
COUNTED = """
SELECT toUnixTimestamp(hour) AS h, pin_id, sumIf(events, action = 1), sumIf(events, action = 2),
    sumIf(events, action = 3)
FROM pin_minutes FINAL WHERE arrived_at < toDateTime({cut}, 'UTC')
GROUP BY h, pin_id HAVING sum(events) > 0
"""


def sealed(address: ClickHouseAddress, *cells: CellRows, until: int, lateness: int = HOUR) -> list[int]:
    """Write cells, publish every cut up to `until` (seconds since 1970), and return the cuts."""
    for rows in cells:
        write(address, rows)
    return seal_all(address, until, lateness)


def seal_all(address: ClickHouseAddress, until: int, lateness: int = HOUR) -> list[int]:
    """Seal until nothing is left to do; returns the cuts that were published."""
    cuts: list[int] = []
    while True:
        result = seal_cuts(address, until, lateness)
        cuts += result.cuts
        if not result.more:
            return cuts


def published(address: ClickHouseAddress) -> list[int]:
    """The published cuts, ascending."""
    return [row[0] for row in read(address, "SELECT DISTINCT toUnixTimestamp(cut) AS c FROM cuts ORDER BY c")]


def known(address: ClickHouseAddress, cut: int) -> Counts:
    """What a reader of a cut adds up."""
    return _counts(read(address, KNOWN.format(cut=cut)))


def counted(address: ClickHouseAddress, cut: int) -> Counts:
    """The cells that are known at a cut."""
    return _counts(read(address, COUNTED.format(cut=cut)))


def _counts(rows: Iterable[tuple[Any, ...]]) -> Counts:
    return {(hour, pin): tuple(counts) for hour, pin, *counts in rows}
