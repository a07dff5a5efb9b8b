"""Windows whose tops are not those of their rows: listed pins with other counts, or a bound that is too low.

A pin that has no row in the tops has at most the counts of the row `is_rest`. Readers rely on that, and on the counts
of listed pins.
"""

from collections.abc import Iterator

from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COUNTED, OF_ACTION, TOTAL, TRUSTED_TOTAL, each
from pintally.sinks.clickhouse.sealing.feature_seals import HOURS, TILES, Name

PRINT = each(f"cityHash64(pin_id, toUInt8({{number}})) * {OF_ACTION}", " + ")
BOUNDS = {**{name: name for name in COUNTED}, "events": TOTAL, "trusted": TRUSTED_TOTAL}
_HIGHEST = ", ".join(f"toInt64(maxIf({sql}, NOT listed)) AS d_{name}" for name, sql in BOUNDS.items())
_STATED = ", ".join(f"-toInt64(maxIf(t.{name}, is_rest))" for name in BOUNDS)
_ABOVE = " OR ".join(f"sum(d_{name}) > 0" for name in BOUNDS)
WITHIN = """window_start >= toDateTime(%(day)s, 'UTC') AND window_start < toDateTime(%(day)s + 86400, 'UTC')
            AND ({sealed}, seal) IN
                (SELECT window_start, rows_seal FROM feature_seals FINAL WHERE kind = '{kind}' AND NOT is_open)"""
# Of each window: pins that are listed, and the highest counts of those that are not; by the rows, less by the tops.
UNEQUAL = f"""
SELECT DISTINCT toUnixTimestamp({{sealed}}) FROM
(
    SELECT {{keys}}, toInt64(countIf(listed)) AS pins, toInt64(sumIf({PRINT}, listed)) AS print,
        0 AS unequal, 0 AS rests,
        {_HIGHEST}
    FROM
    (
        SELECT *,
            ({{keys}}, pin_id) IN (SELECT {{keys}}, pin_id FROM {{tops}} WHERE NOT is_rest AND {{within}}) AS listed
        FROM {{table}} WHERE {{within}}
    ) AS r
    GROUP BY {{keys}}
    UNION ALL
    SELECT {{keys}}, -toInt64(countIf(NOT is_rest)), -toInt64(sumIf({PRINT}, NOT is_rest)),
        countIf(NOT is_rest AND ({TOTAL} != t.events OR {TRUSTED_TOTAL} != t.trusted)),
        countIf(is_rest), {_STATED}
    FROM {{tops}} AS t WHERE {{within}}
    GROUP BY {{keys}}
)
GROUP BY {{keys}}
HAVING sum(pins) != 0 OR sum(print) != 0 OR sum(unequal) != 0 OR sum(rests) > 1 OR {_ABOVE}
"""
TABLES = (
    (HOURS, "hour_tops", "pin_hours_by_pin", "window_start", "window_start"),
    (TILES, "tile_tops", "pin_tiles", "arrived_at, window_start", "arrived_at"),
)


def unequal_tops(connection: Connection, day: int) -> Iterator[Name]:
    """The windows, of one day of event time, whose tops are not those of their rows."""
    for kind, tops, table, keys, sealed in TABLES:
        within = WITHIN.format(sealed=sealed, kind=kind)
        sql = UNEQUAL.format(keys=keys, sealed=sealed, tops=tops, table=table, within=within)
        yield from ((kind, start) for (start,) in connection.rows(sql, day=day))
