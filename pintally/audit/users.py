"""Numbers of users in sealed hours against the members that they were made of, both ways, in ClickHouse.

Only hours whose members are all kept and whose counts are not open, nor were sealed again since. A difference counts
only if it is still there after everything was read again. The numbers of a day are made of the same members.
"""

from collections.abc import Iterator
from dataclasses import replace

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import KINDS
from pintally.audit.findings import Finding, Kind
from pintally.audit.kept import DAY, read_kept
from pintally.audit.looks import lasting
from pintally.audit.words import utc

WINDOWS = """
SELECT toString(resolution) AS resolution, toUInt32(window_start) AS start, rows_seal, least, hours
FROM user_seals AS u FINAL
INNER JOIN (SELECT resolution AS of, window_start, seal AS counted FROM sealed FINAL WHERE NOT is_open) AS s
    ON toString(u.resolution) = toString(s.of) AND u.window_start = s.window_start
WHERE NOT u.is_open AND u.seal > s.counted AND toUInt32(u.window_start) >= {first:UInt32}
ORDER BY resolution, start"""
_USERS = ", ".join(f"uniqCombined64If(14)(user_hash, action = {number}) AS n{number}" for number, _, _ in KINDS)
_SHOWN = ", ".join(
    f"if(n{number} > 0 AND n{number} < {{least:UInt64}}, -1, toInt64(n{number}))" for number, _, _ in KINDS
)
_STATED = ", ".join(f"ifNull(toInt64({column}_users), -1)" for _, _, column in KINDS)
DIFFERENCES = f"""
SELECT pin_id, surface, sumIf(number, NOT stated) AS expected, sumIf(number, stated) AS found
FROM
(
    SELECT pin_id, shown AS surface, toInt64(users) AS number, [number, {_SHOWN}] AS numbers, false AS stated
    FROM
    (
        SELECT pin_id, shown, uniqCombined64(14)(user_hash) AS users, {_USERS}
        FROM pin_members FINAL ARRAY JOIN [toString(surface), ''] AS shown
        WHERE hour >= toDateTime({{start:UInt32}}, 'UTC') AND hour < toDateTime({{end:UInt32}}, 'UTC') AND events > 0
        GROUP BY pin_id, shown
        HAVING users >= {{least:UInt64}}
    )
    UNION ALL
    SELECT pin_id, toString(surface), toInt64(users) AS number, [number, {_STATED}], true
    FROM {{table:Identifier}} WHERE toUInt32(window_start) = {{start:UInt32}} AND seal = {{seal:UInt64}}
)
GROUP BY pin_id, surface
HAVING groupArrayIf(numbers, stated) != groupArrayIf(numbers, NOT stated)
ORDER BY pin_id, surface"""
TABLES = {"hour": ("pin_hour_users", 3600), "day": ("pin_day_users", DAY)}


def check_users(clickhouse: ClickHouse, since: int) -> list[Finding]:
    """Compare every sealed window from `since` (seconds) on whose members are still kept."""
    return lasting(lambda: _look(clickhouse, since))


def _look(clickhouse: ClickHouse, since: int) -> Iterator[Finding]:
    first = max(since, read_kept(clickhouse, "pin_members").since("pin_members"))
    for window in clickhouse.rows(WINDOWS, first=first):
        table, length = TABLES[window["resolution"]]
        start = window["start"]
        for row in clickhouse.rows(
            DIFFERENCES, table=table, start=start, end=start + length, seal=window["rows_seal"], least=window["least"]
        ):
            about = Finding(Kind.ROLLUP_DIFFERS, table, row["found"], row["expected"], "users")
            yield replace(about, minute=utc(start), pin=row["pin_id"], surface=row["surface"] or None)
