"""Names what differs: of a window whose sums differ, the pins and their counts."""

from collections import Counter
from collections.abc import Iterable, Iterator

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import KINDS, MEASURES
from pintally.audit.features.compare import BASE, CORRECTIONS, HOURS, SEALS, TILES, Difference
from pintally.audit.features.state import DAY, HOUR, TEN_MINUTES, State
from pintally.audit.features.sums import Sums
from pintally.audit.findings import SHOWN, Finding, Kind
from pintally.audit.words import utc

PINS = """
SELECT pin_id, {both}
FROM
(
    SELECT pin_id, {needed} FROM {source} GROUP BY pin_id
    UNION ALL
    SELECT pin_id, {found} FROM {table} WHERE {rows} AND seal = {{seal:UInt64}}
)
GROUP BY pin_id
HAVING {differs}
ORDER BY pin_id LIMIT {limit}"""
BOTH = ", ".join(f"sum(n_{name}) AS needed_{name}, sum(f_{name}) AS found_{name}" for name in MEASURES)
OF_CELLS = ", ".join(
    f"sumIf({value}, action = {number}) AS n_{prefix}{name}, 0 AS f_{prefix}{name}"
    for value, prefix in (("events", ""), ("trusted", "trusted_"))
    for number, _, name in KINDS
)
OF_HOURS = ", ".join(f"sum({name}) AS n_{name}, 0 AS f_{name}" for name in MEASURES)
DIFFERS = " OR ".join(f"needed_{name} != found_{name}" for name in MEASURES)
WINDOW = "window_start = toDateTime({window:UInt32}, 'UTC')"
CELLS = "pin_minutes FINAL WHERE hour = toDateTime({hour:UInt32}, 'UTC') AND arrived_at"
SOURCES = {
    TILES: f"{CELLS} = toDateTime({{arrived:UInt32}}, 'UTC')"
    " AND intDiv(toUInt32(minute), 600) * 600 = {window:UInt32}",
    CORRECTIONS: f"{CELLS} = toDateTime({{arrived:UInt32}}, 'UTC')",
    HOURS: f"{CELLS} < toDateTime({{complete_at:UInt32}}, 'UTC')",
    BASE: "pin_hours_by_pin WHERE window_start >= toDateTime({from:UInt32}, 'UTC')"
    " AND window_start < toDateTime({window:UInt32}, 'UTC')"
    " AND (window_start, seal) IN (SELECT window_start, rows_seal FROM feature_seals FINAL WHERE kind = 'hours')",
}
ROWS = {
    TILES: f"{WINDOW} AND arrived_at = toDateTime({{arrived:UInt32}}, 'UTC')",
    CORRECTIONS: f"{WINDOW} AND known_from = toDateTime({{known:UInt32}}, 'UTC')",
    HOURS: WINDOW,
    BASE: "day = toDateTime({window:UInt32}, 'UTC')",
}


def named(clickhouse: ClickHouse, state: State, differences: Iterable[Difference]) -> Iterator[Finding]:
    """Yields findings. The first windows of each table are told by pin, the others only as windows."""
    looked_into: Counter[str] = Counter()
    for each in differences:
        if each.table == SEALS:
            yield _stated(each)
        elif looked_into[each.table] < SHOWN:
            looked_into[each.table] += 1
            yield from _by_pin(clickhouse, state, each)
        else:
            found, expected = (sums.events for sums in (each.found, each.expected) if isinstance(sums, Sums))
            yield _finding(each, found, expected, "events")


def _finding(
    each: Difference, found: int | str, expected: int | str, what: str | None, pin: int | None = None
) -> Finding:
    arrived = None if each.arrived is None else utc(each.arrived)
    window = None if each.table == SEALS and each.arrived is not None else utc(each.window)
    return Finding(Kind.FEATURE_DIFFERS, each.table, found, expected, what, minute=window, pin=pin, arrived=arrived)


def _stated(each: Difference) -> Finding:
    assert isinstance(each.found, int) and isinstance(each.expected, int)  # noqa: PT018 - for mypy
    found, expected = (utc(at) if each.is_time else at for at in (each.found, each.expected))
    return _finding(each, found, expected, each.what)


def _by_pin(clickhouse: ClickHouse, state: State, each: Difference) -> Iterator[Finding]:
    suffix = f"_{each.what}" if each.table == BASE else ""
    sql = PINS.format(
        both=BOTH,
        needed=OF_HOURS if each.table == BASE else OF_CELLS,
        source=SOURCES[each.table],
        found=", ".join(f"0 AS n_{name}, {name}{suffix} AS f_{name}" for name in MEASURES),
        table=each.table,
        rows=ROWS[each.table],
        differs=DIFFERS,
        limit=SHOWN,
    )
    for row in clickhouse.rows(sql, seal=each.seal, **_parameters(state, each)):
        for name in MEASURES:
            found, expected = row[f"found_{name}"], row[f"needed_{name}"]
            if found != expected:
                yield _finding(each, found, expected, name + suffix, row["pin_id"])


def _parameters(state: State, each: Difference) -> dict[str, object]:
    """Returns the parameters of the SQL of a table."""
    arrived = each.arrived or 0
    if each.table == BASE:
        first = each.window - int(str(each.what).removesuffix("d")) * DAY
        return {"window": each.window, "from": first}
    hour = each.window // HOUR * HOUR
    by_table: dict[str, dict[str, object]] = {
        TILES: {"window": each.window, "hour": hour, "arrived": arrived},
        CORRECTIONS: {"window": hour, "hour": hour, "arrived": arrived, "known": arrived + TEN_MINUTES},
        HOURS: {"window": hour, "hour": hour, "complete_at": state.complete_at(hour) or 0},
    }
    return by_table[each.table]
