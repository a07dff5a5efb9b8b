"""Cells, and the cuts at which they are known: what the tests of features share.

`sealed(address, *cells, until=...)` writes cells and publishes every cut up to `until`. `wrong(address)` compares what
a reader of each cut adds up with the cells, by pin, and by hour where it is complete, else by ten minutes.
"""

from pintally.schemas.cells import CellRows
from pintally.sinks.clickhouse.address import ClickHouseAddress
from pintally.sinks.clickhouse.per_action import COUNTS, OF_CELLS, each_count
from pintally.sinks.clickhouse.sealing.cuts import seal_cuts
from tests.sinks.sealing import read, write

TEN = 600
HOUR = 3600
# Of every cut: hours that are complete from their rows and corrections, the others from tiles (docs/decisions/0017).
KNOWN = f"""
WITH
    (SELECT groupArray((toString(kind), window_start, rows_seal)) FROM feature_seals FINAL WHERE rows_seal > 0) AS seals
SELECT toUnixTimestamp(cut), toUnixTimestamp(start), pin_id, {each_count("sum({count})")} FROM
(
    SELECT 'tiles' AS place, window_start AS start, arrived_at AS arrived, pin_id, {COUNTS}
    FROM pin_tiles
    WHERE has(seals, ('tiles', arrived_at, seal))
    UNION ALL
    SELECT 'hours', window_start, toDateTime(0, 'UTC'), pin_id, {COUNTS} FROM pin_hours_by_pin
    WHERE has(seals, ('hours', window_start, seal))
    UNION ALL
    SELECT 'hours', window_start, known_from - INTERVAL 10 MINUTE, pin_id, {COUNTS} FROM pin_corrections
    WHERE has(seals, ('tiles', known_from - INTERVAL 10 MINUTE, seal))
) AS known
CROSS JOIN (SELECT cut, max(hours_until) AS hours_until FROM cuts GROUP BY cut) AS cuts
WHERE arrived < cut AND (place = 'tiles') = (start >= hours_until)
GROUP BY cut, start, pin_id
"""
CELLS = f"""
SELECT toUnixTimestamp(cut), toUnixTimestamp(if(hour < hours_until, hour, toStartOfTenMinutes(minute))) AS start,
    pin_id, {OF_CELLS}
FROM (SELECT minute, toStartOfHour(minute) AS hour, arrived_at, pin_id, action, events, trusted
    FROM pin_minutes FINAL) AS cells
CROSS JOIN (SELECT cut, max(hours_until) AS hours_until FROM cuts GROUP BY cut) AS cuts
WHERE arrived_at < cut
GROUP BY cut, start, pin_id HAVING sum(events) > 0
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


BASE_WITHOUT_SUMS = f"""
SELECT DISTINCT toUnixTimestamp(day), pin_id FROM
(
    SELECT day, pin_id, {each_count("toInt64({count}_7d) AS w_{count}, toInt64({count}_30d) AS m_{count}")}
    FROM pin_base
    WHERE (day, seal) IN (SELECT window_start, rows_seal FROM feature_seals FINAL WHERE kind = 'base')
    UNION ALL
    SELECT day, pin_id, {each_count("-toInt64(sumIf({count}, hour >= day - INTERVAL 7 DAY)), -toInt64(sum({count}))")}
    FROM
    (
        SELECT pin_id, window_start AS hour, {COUNTS},
            arrayJoin(arrayMap(n -> toStartOfDay(hour) + toIntervalDay(n), range(1, 31))) AS day
        FROM pin_hours_by_pin
        WHERE (window_start, seal) IN (SELECT window_start, rows_seal FROM feature_seals FINAL WHERE kind = 'hours')
    )
    WHERE day IN (SELECT window_start FROM feature_seals FINAL WHERE kind = 'base' AND rows_seal > 0)
    GROUP BY day, pin_id
)
GROUP BY day, pin_id HAVING {each_count("sum(w_{count}) != 0 OR sum(m_{count}) != 0", " OR ")}
"""


def wrong(address: ClickHouseAddress) -> dict[str, object]:
    """What does not add up: (cut, start, pin, counts) that a reader finds or misses, and (day, pin) of bases."""
    different = set(read(address, KNOWN)) ^ set(read(address, CELLS))
    found = {"cuts": sorted(different), "bases": read(address, BASE_WITHOUT_SUMS)}
    return {name: rows for name, rows in found.items() if rows}
