"""The SQL of the sums of pins at cuts. `keys` is an external table of one row: see `pair_sums.STRUCTURE`.

Times are seconds since 1970. Of a row of a table: `s` is its start. Of a key: `cut`; `until`, its hours_until; `known`,
what arrived before it counts; `head`, what starts at or after it does not count.
"""

from collections.abc import Iterable, Mapping
from typing import Final

DAY: Final = 86_400
MINE: Final = (
    "ARRAY JOIN arrayEnumerate(pins) AS n, pins AS pin, cuts AS cut, untils AS until, heads AS head, knowns AS known"
)
TODAY: Final = "intDiv(until, 86400) * 86400"
LAST_24H: Final = "intDiv(cut, 3600) * 3600 - 86400"
# Of each table: from which start on a row is in a window, where there is one.
FROM: Final[Mapping[str, Mapping[str, str]]] = {
    "tiles": {"1h": "cut - 3600", "24h": LAST_24H, "7d": "0", "30d": "0"},
    "hours": {"24h": LAST_24H, "7d": TODAY, "30d": TODAY},
    "corrections": {
        "1h": "cut - 3600",
        "24h": LAST_24H,
        "7d": f"{TODAY} - {7 * DAY}",
        "30d": f"{TODAY} - {30 * DAY}",
    },
    "base": {"7d": "0", "30d": "0"},
}
AGE_TO: Final = {
    "tiles": "cut",
    "hours": "intDiv(cut, 3600) * 3600",
    "corrections": "if(t.s < until, intDiv(cut, 3600) * 3600, cut)",
}
SEALED: Final = "seal IN (SELECT arrayJoin({kind}_seals) FROM keys)"
# An event may be ahead of its arrival, where a producer's clock is: by so many seconds at most.
AHEAD: Final = """
SELECT greatest(max(toInt64(toUnixTimestamp(window_start)) - toInt64(toUnixTimestamp(arrived_at))), 0)
FROM pin_tiles
WHERE window_start >= toDateTime(%(from)s, 'UTC') AND window_start < toDateTime(%(to)s, 'UTC') + INTERVAL 1 DAY
"""
SEALS: Final = """
SELECT groupArrayIf(rows_seal, kind = 'tiles'), groupArrayIf(rows_seal, kind = 'hours'),
    groupArrayIf(rows_seal, kind = 'base')
FROM feature_seals FINAL
WHERE rows_seal > 0 AND pins > 0 AND
(
    kind = 'tiles' AND window_start >= toDateTime(%(from)s, 'UTC') - INTERVAL 31 DAY
    OR kind != 'tiles' AND window_start >= toDateTime(%(from)s, 'UTC') - INTERVAL 2 DAY
)
"""
# Tiles are looked for by hour too: a pin that is asked about at many cuts has many tiles.
TILES: Final = f"""
FROM (SELECT *, toUnixTimestamp(window_start) AS s FROM pin_tiles) AS t INNER JOIN
    (
        SELECT n, pin, cut, until, head, known, arrayJoin(range(until, least(head, cut + %(ahead)s), 3600)) AS hour
        FROM keys {MINE}
    ) AS k ON t.pin_id = k.pin AND intDiv(t.s, 3600) * 3600 = k.hour
WHERE t.window_start >= toDateTime(%(from)s, 'UTC') AND t.window_start < toDateTime(%(to)s, 'UTC') + INTERVAL 1 DAY
    AND t.arrived_at < toDateTime(%(known)s, 'UTC') AND t.{SEALED.format(kind="tile")}
    AND toUnixTimestamp(t.arrived_at) < k.known AND t.s < k.head
"""
HOURS: Final = f"""
FROM (SELECT *, toUnixTimestamp(window_start) AS s FROM pin_hours_by_pin) AS t INNER JOIN
    (SELECT n, pin, cut, until FROM keys {MINE}) AS k ON t.pin_id = k.pin
WHERE t.window_start >= toDateTime(%(from)s, 'UTC') - INTERVAL 1 DAY AND t.window_start < toDateTime(%(to)s, 'UTC')
    AND t.{SEALED.format(kind="hour")} AND t.s < k.until AND t.s >= least({TODAY}, {LAST_24H})
"""
CORRECTIONS: Final = f"""
FROM (SELECT *, toUnixTimestamp(window_start) AS s FROM pin_corrections) AS t INNER JOIN
    (SELECT n, pin, cut, until, head, known FROM keys {MINE}) AS k ON t.pin_id = k.pin
WHERE t.window_start >= toDateTime(%(from)s, 'UTC') - INTERVAL 31 DAY AND t.window_start < toDateTime(%(to)s, 'UTC')
    AND t.{SEALED.format(kind="tile")} AND toUnixTimestamp(t.known_from) <= k.known AND t.s + 3600 <= k.head
    AND t.s >= {TODAY} - {30 * DAY}
"""
BASE: Final = f"""
FROM (SELECT *, toUnixTimestamp(day) AS s FROM pin_base) AS t INNER JOIN
    (SELECT n, pin, {TODAY} AS base_day FROM keys {MINE}) AS k ON t.pin_id = k.pin AND t.s = k.base_day
WHERE t.day >= toDateTime(%(from)s, 'UTC') - INTERVAL 1 DAY AND t.day < toDateTime(%(to)s, 'UTC')
    AND t.{SEALED.format(kind="base")}
"""
TABLES: Final = {"tiles": TILES, "hours": HOURS, "corrections": CORRECTIONS, "base": BASE}


def statement(table: str, sums: Iterable[str]) -> tuple[str, list[str]]:
    """A query of one table, and which of these sums it returns: a row of bytes for each key, its number first."""
    found = {name: sql for name in sums if (sql := _sum(table, name))}
    numbers = ["toUInt64(any(k.n))", *found.values()]
    bytes_of = ", ".join(f"reinterpretAsFixedString(toUInt64({each}))" for each in numbers)
    sql = f"SELECT toFixedString(concat({bytes_of}, ''), {8 * len(numbers)}) {TABLES[table]} GROUP BY k.n"
    return sql, list(found)


def _sum(table: str, name: str) -> str | None:
    """The sum of one name, for instance `saves_24h`, or None where the table has no part in it."""
    column, _, window = name.rpartition("_")
    if column.endswith("_decayed"):
        column = column.removesuffix("_decayed")
        if table not in AGE_TO:
            return None
        weight = f"toUInt64(round(1048576 * exp2((toInt64(t.s) - ({AGE_TO[table]})) / 21600)))"
        return f"sumIf(t.{column} * {weight}, t.s >= {LAST_24H})"
    if window not in FROM[table]:
        return None
    if table == "base":
        return f"sum(t.{column}_{window})"
    return f"sumIf(t.{column}, t.s >= {FROM[table][window]})"
