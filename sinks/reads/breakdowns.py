"""Counts by surface or by platform: rows of the views `pin_breakdown_1h` and `pin_breakdown_1d`, without their plans.

To plan a view takes ClickHouse longer than to read the rows of one pin. So here the same is asked in steps: first what
is sealed, then the rows of these seals, then the cells of all other hours. Rows of a seal never change, so it does not
matter what is sealed meanwhile. Hours of which no cell names a label have no such rows, and are read from cells. Days
that are not sealed, or without labels, are asked of the view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pintally.schemas.dimensions import Dimension
from pintally.sinks.clickhouse.connection import Connection
from pintally.sinks.clickhouse.per_action import COLUMNS, COUNTS, TRUSTED, each

NAMES: Final = ("window_start", "pin_id", "label", *COLUMNS, *TRUSTED, "is_final")
Columns = tuple[Sequence[Any], ...]  # as NAMES has them; `window_start` in seconds since 1970
NOTHING: Final[Columns] = ((),) * len(NAMES)
DAY: Final = 86_400

KEPT: Final = "toStartOfDay(now('UTC')) - INTERVAL 89 DAY"  # as in the view
_FROM_TO: Final = "{0} >= toDateTime(%(start)s, 'UTC') AND {0} < toDateTime(%(end)s, 'UTC')"
_RANGE: Final = f"{_FROM_TO} AND {{0}} >= {KEPT}"
_WITHIN: Final = _RANGE.format("window_start")
SEALED: Final = f"""
SELECT toUnixTimestamp(maxIf(window_start + INTERVAL 1 HOUR, NOT is_open)),
    groupArrayIf(toUnixTimestamp(window_start), (is_open OR breakdown_sum = 0 AND pins > 0) AND {_WITHIN}),
    groupArrayIf(seal, NOT is_open AND breakdown_sum != 0 AND {_WITHIN})
FROM sealed FINAL
WHERE resolution = 'hour' AND window_start >= toStartOfDay(now('UTC')) - INTERVAL 90 DAY
"""
SEALED_DAYS: Final = f"""
SELECT countIf(breakdown_sum != 0 OR pins = 0), groupArrayIf(seal, pins > 0)
FROM sealed FINAL
WHERE resolution = 'day' AND NOT is_open AND {_FROM_TO.format("window_start")}
"""
_ROWS: Final = f"""
SELECT toUnixTimestamp(window_start), pin_id, label, {COUNTS}, {{is_final}}
FROM {{table}}
WHERE {{within}} AND dimension = %(dimension)s
"""
_OF_SEALS: Final = " AND seal IN %(seals)s"
HOURS: Final = _ROWS.format(is_final="true", table="pin_hour_breakdowns", within=_WITHIN + _OF_SEALS)
_DAYS: Final = _FROM_TO.format("window_start")
DAYS: Final = _ROWS.format(is_final="true", table="pin_day_breakdowns", within=_DAYS + _OF_SEALS)
DAYS_OF_VIEW: Final = _ROWS.format(is_final="is_final", table="pin_breakdown_1d", within=_DAYS)
CELLS: Final = f"""
SELECT toUnixTimestamp(hour) AS start, pin_id, {{label}} AS label,
    {each("sum(events * (action = {number})) AS {column}")},
    {each("sum(trusted * (action = {number})) AS trusted_{column}")},
    start < %(until)s
FROM
(
    SELECT hour, pin_id, action, {{label}}, events, trusted
    FROM pin_minutes FINAL
    WHERE {_RANGE.format("hour")}
        AND (hour >= toDateTime(%(until)s, 'UTC') OR toUnixTimestamp(hour) IN %(open)s){{pins}}
    SETTINGS optimize_move_to_prewhere_if_final = 1, do_not_merge_across_partitions_select_final = 1
)
GROUP BY hour, pin_id, label
HAVING {" + ".join(COLUMNS)} > 0
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """Windows that start in [start, end), in seconds since 1970, of some pins, or of all pins that have events."""

    start: int
    end: int
    dimension: Dimension
    pins: tuple[int, ...] | None = None


def read_hours(connection: Connection, asked: Asked) -> Columns:
    """Of each hour, pin and label its counts, in no order. Raises SinkError, SinkUnavailable."""
    until, open_hours, seals = connection.one(SEALED, start=asked.start, end=asked.end)
    rolled_up = _ask(connection, HOURS, asked, seals=seals) if seals else NOTHING
    first = min([until, *open_hours])
    if asked.end <= first:
        return rolled_up
    cells = _ask(connection, CELLS, asked, max(asked.start, first), until=until, open=open_hours or [0])
    return tuple((*one, *other) for one, other in zip(rolled_up, cells, strict=True))


def read_days(connection: Connection, asked: Asked) -> Columns:
    """The same of days. Raises SinkError, SinkUnavailable."""
    days = range(-(-asked.start // DAY), -(-asked.end // DAY))
    sealed, seals = connection.one(SEALED_DAYS, start=asked.start, end=asked.end)
    if sealed < len(days):
        return _ask(connection, DAYS_OF_VIEW, asked)
    return _ask(connection, DAYS, asked, seals=seals) if seals else NOTHING


def labels_of(columns: Columns) -> list[dict[str, Any]]:
    """Of each label the sums over the hours by action, and `trusted`, those of all actions; the most events first."""
    sums: dict[str, list[int]] = {}
    for _, _, label, *counts, _ in zip(*columns, strict=True):
        sums[label] = [one + other for one, other in zip(sums.get(label, [0] * len(counts)), counts, strict=True)]
    actions = len(COLUMNS)
    return [
        {"label": label, **dict(zip(COLUMNS, counts, strict=False)), "trusted": sum(counts[actions:])}
        for label, counts in sorted(sums.items(), key=lambda each: (-sum(each[1][:actions]), each[0]))
    ]


def _ask(connection: Connection, sql: str, asked: Asked, start: int | None = None, **parameters: Any) -> Columns:
    these = "" if asked.pins is None else " AND pin_id IN %(pins)s"
    text = sql.format(label=asked.dimension.column, pins=these) if sql is CELLS else sql + these
    given = {
        "start": asked.start if start is None else start,
        "end": asked.end,
        "dimension": asked.dimension.column,
        "pins": asked.pins,
        **parameters,
    }
    found: Columns = connection.execute(text, given, columnar=True)
    return found or NOTHING
