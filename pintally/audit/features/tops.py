"""Listed tops against the rows that they are taken from, and the bound for those that are not listed.

A listed row must have the counts of its pin. The row `is_rest` must have, for each count and for all actions together,
at least the highest among all pins that are not listed; where there is no such row, every pin must be listed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import COLUMNS, KINDS, MEASURES, TRUSTED
from pintally.audit.features.sums import OF_ROW
from pintally.audit.findings import Finding, Kind
from pintally.audit.words import utc

PRINT = " + ".join(OF_ROW.format(column=name, number=number, days="") for number, _, name in KINDS)
EVENTS, TRUSTED_EVENTS = " + ".join(COLUMNS), " + ".join(TRUSTED)
COUNTS = (*MEASURES, "events", "trusted")
WITHIN = """window_start >= toDateTime({{first:UInt32}}, 'UTC') AND window_start < toDateTime({{end:UInt32}}, 'UTC')
        AND ({sealed}, seal) IN
            (SELECT window_start, rows_seal FROM feature_seals FINAL WHERE kind = '{kind}' AND NOT is_open)"""
ROWS = f"""
SELECT {{keys}}, sum(listed) AS pins, sumIf({PRINT}, listed) AS print,
    {", ".join(f"maxIf({name}, NOT listed) AS rest_{name}" for name in MEASURES)},
    maxIf(all, NOT listed) AS rest_events, maxIf(all_trusted, NOT listed) AS rest_trusted
FROM
(
    SELECT {{columns}}, pin_id, {", ".join(MEASURES)}, {EVENTS} AS all, {TRUSTED_EVENTS} AS all_trusted,
        ({{columns}}, pin_id) IN (SELECT {{columns}}, pin_id FROM {{tops}} WHERE {{within}} AND NOT is_rest) AS listed
    FROM {{table}}
    WHERE {{within}}
)
GROUP BY {{keys}}"""
LISTED = f"""
SELECT {{keys}}, countIf(NOT is_rest) AS pins, sumIf({PRINT}, NOT is_rest) AS print,
    countIf(NOT is_rest AND ({EVENTS} != events OR {TRUSTED_EVENTS} != trusted)) AS unequal, countIf(is_rest) AS rests,
    {", ".join(f"minIf({name}, is_rest) AS rest_{name}" for name in COUNTS)}
FROM {{tops}} WHERE {{within}}
GROUP BY {{keys}}"""


@dataclass(frozen=True, slots=True)
class Tops:
    """A table of tops, and the one that it is taken from."""

    tops: str
    table: str
    kind: str  # of its windows
    columns: tuple[str, ...]  # that name a window of it
    sealed: str  # the column that names the window in feature_seals


HOUR_TOPS = Tops("hour_tops", "pin_hours_by_pin", "hours", ("window_start",), "window_start")
TILE_TOPS = Tops("tile_tops", "pin_tiles", "tiles", ("window_start", "arrived_at"), "arrived_at")


def check_tops(clickhouse: ClickHouse, day: int, end: int) -> Iterator[Finding]:
    """Yields what is wrong with the tops of the windows of [day, end), seconds since 1970."""
    for tops in (HOUR_TOPS, TILE_TOPS):
        yield from _check(clickhouse, tops, day, end)


def _check(clickhouse: ClickHouse, tops: Tops, day: int, end: int) -> Iterator[Finding]:
    words = {
        "keys": ", ".join(f"toUInt32({name}) AS {name}_" for name in tops.columns),
        "columns": ", ".join(tops.columns),
        "tops": tops.tops,
        "table": tops.table,
        "within": WITHIN.format(sealed=tops.sealed, kind=tops.kind),
    }
    where = {"first": day, "end": end}
    keys = [f"{name}_" for name in tops.columns]
    rows = {tuple(row[key] for key in keys): row for row in clickhouse.rows(ROWS.format(**words), **where)}
    listed = {tuple(row[key] for key in keys): row for row in clickhouse.rows(LISTED.format(**words), **where)}
    for key in sorted(rows.keys() | listed.keys()):
        yield from _window(tops, key, rows.get(key, NOTHING), listed.get(key, NOTHING))


NOTHING: dict[str, int] = {"pins": 0, "print": 0, "unequal": 0, "rests": 0} | {f"rest_{name}": 0 for name in COUNTS}


def _window(tops: Tops, key: tuple[int, ...], rows: dict[str, int], listed: dict[str, int]) -> Iterator[Finding]:
    def finding(found: int, expected: int, what: str) -> Finding:
        arrived = utc(key[1]) if len(key) > 1 else None
        return Finding(Kind.FEATURE_DIFFERS, tops.tops, found, expected, what, minute=utc(key[0]), arrived=arrived)

    if rows["pins"] != listed["pins"]:
        yield finding(listed["pins"], rows["pins"], "pins listed")
    elif rows["print"] != listed["print"]:
        yield finding(listed["pins"], rows["pins"], "counts of listed pins")
    if listed["unequal"]:
        yield finding(listed["unequal"], 0, "rows whose events are not the sum of their counts")
    if listed["rests"] > 1:
        yield finding(listed["rests"], 1, "rows of the rest")
    for name in COUNTS:
        bound, highest = listed[f"rest_{name}"], rows[f"rest_{name}"]
        if bound < highest:
            yield finding(bound, highest, f"rest: {name}")
