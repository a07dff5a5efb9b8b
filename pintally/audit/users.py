"""Numbers of users in sealed hours against the members that they were made of, both ways, in ClickHouse.

Only hours whose members are all kept and whose counts are not open, nor were sealed again since. A difference counts
only if it is still there after everything was read again. The numbers of a day are made of the same members. Users are
flagged for an hour, each by the limit that its hour was sealed with.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pintally.audit.clickhouse import ClickHouse
from pintally.audit.contract import KINDS
from pintally.audit.findings import Finding, Kind
from pintally.audit.kept import DAY, read_kept
from pintally.audit.looks import lasting
from pintally.audit.words import utc

WINDOWS = """
SELECT toString(resolution) AS resolution, toUInt32(window_start) AS start, rows_seal, least, hours, flagged_above,
    ifNull(toInt64(flagged_users), -1) AS flagged_users, ifNull(toInt64(flagged_events), -1) AS flagged_events
FROM user_seals AS u FINAL
INNER JOIN (SELECT resolution AS of, window_start, seal AS counted FROM sealed FINAL WHERE NOT is_open) AS s
    ON toString(u.resolution) = toString(s.of) AND u.window_start = s.window_start
WHERE NOT u.is_open AND u.seal > s.counted AND toUInt32(u.window_start) >= {first:UInt32}
ORDER BY resolution, start"""
_USERS = ", ".join(f"uniqCombined64If(14)(user_hash, action = {number}) AS n{number}" for number, _, _ in KINDS)
_TRUSTED = ", ".join(
    f"toInt64(sumIf(trusted, action = {number} AND NOT is_flagged)) AS t{number}" for number, _, _ in KINDS
)
_SHOWN = ", ".join(
    [f"if(n{number} > 0 AND n{number} < {{least:UInt64}}, -1, toInt64(n{number}))" for number, _, _ in KINDS]
    + [f"t{number}" for number, _, _ in KINDS]
)
_STATED = ", ".join(
    [f"ifNull(toInt64({column}_users), -1)" for _, _, column in KINDS]
    + [f"toInt64(unflagged_{column})" for _, _, column in KINDS]
)
_WITHIN = "hour >= toDateTime({start:UInt32}, 'UTC') AND hour < toDateTime({end:UInt32}, 'UTC')"
FLAGGED = f"""
SELECT hour, user_key, user_hash, sum(events) AS done, uniqExact(pin_id) AS over
FROM pin_members FINAL
INNER JOIN (SELECT window_start, flagged_above FROM user_seals FINAL WHERE resolution = 'hour') AS u
    ON hour = u.window_start
WHERE {_WITHIN} AND flagged_above > 0 AND events > 0
GROUP BY hour, user_key, user_hash
HAVING done > any(flagged_above)"""
DIFFERENCES = f"""
SELECT pin_id, surface, sumIf(number, NOT stated) AS expected, sumIf(number, stated) AS found,
    groupArrayIf(arraySlice(numbers, 1, 1 + {len(KINDS)}), stated)
        != groupArrayIf(arraySlice(numbers, 1, 1 + {len(KINDS)}), NOT stated) AS of_users,
    arraySum(arraySlice(arrayFlatten(groupArrayIf(numbers, NOT stated)), 2 + {len(KINDS)})) AS expected_trusted,
    arraySum(arraySlice(arrayFlatten(groupArrayIf(numbers, stated)), 2 + {len(KINDS)})) AS found_trusted
FROM
(
    SELECT pin_id, shown AS surface, toInt64(users) AS number, [number, {_SHOWN}] AS numbers, false AS stated
    FROM
    (
        SELECT pin_id, shown, uniqCombined64(14)(user_hash) AS users, {_USERS}, {_TRUSTED}
        FROM
        (
            SELECT pin_id, surface, action, user_hash, trusted,
                (hour, user_key, user_hash) IN (SELECT hour, user_key, user_hash FROM ({FLAGGED})) AS is_flagged
            FROM pin_members FINAL WHERE {_WITHIN} AND events > 0
        )
        ARRAY JOIN [toString(surface), ''] AS shown
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
# Of one hour: the flagged users that there must be, and those that there are; `wrong` counts rows that differ.
FLAGS = f"""
SELECT countIf(NOT stated) AS users, sumIf(done, NOT stated) AS events, countIf(stated) AS found,
    uniqExact(user_key, user_hash, done, over) * 2 != count() OR users != found AS wrong
FROM
(
    SELECT user_key, user_hash, done, over, false AS stated FROM ({FLAGGED})
    UNION ALL
    SELECT user_key, user_hash, events, pins, true FROM flagged_users
    WHERE toUInt32(hour) = {{start:UInt32}} AND seal = {{seal:UInt64}}
)"""
TABLES = {"hour": ("pin_hour_users", 3600), "day": ("pin_day_users", DAY)}


def check_users(clickhouse: ClickHouse, since: int) -> list[Finding]:
    """Compare every sealed window from `since` (seconds) on whose members are still kept."""
    return lasting(lambda: _look(clickhouse, since))


def _look(clickhouse: ClickHouse, since: int) -> Iterator[Finding]:
    first = max(since, read_kept(clickhouse, "pin_members").since("pin_members"))
    for window in clickhouse.rows(WINDOWS, first=first):
        table, length = TABLES[window["resolution"]]
        start = window["start"]
        given = {"start": start, "end": start + length, "seal": window["rows_seal"]}
        for row in clickhouse.rows(DIFFERENCES, table=table, least=window["least"], **given):
            where = {"minute": utc(start), "pin": row["pin_id"], "surface": row["surface"] or None}
            yield replace(_differing(table, row), **where)
        if window["resolution"] == "hour":
            yield from _flags(clickhouse, window, given)


def _differing(table: str, row: dict[str, Any]) -> Finding:
    """Numbers of users, or if these are right, trusted events of users that are not flagged."""
    if row["of_users"]:
        return Finding(Kind.ROLLUP_DIFFERS, table, row["found"], row["expected"], "users")
    return Finding(Kind.ROLLUP_DIFFERS, table, row["found_trusted"], row["expected_trusted"], "unflagged")


def _flags(clickhouse: ClickHouse, window: dict[str, Any], given: dict[str, Any]) -> Iterator[Finding]:
    """The flagged users of an hour, and what readers may know of them. It says of nobody who it is."""
    [row] = clickhouse.rows(FLAGS, **given)
    about = Finding(
        Kind.ROLLUP_DIFFERS, "flagged_users", row["found"], row["users"], "users", minute=utc(given["start"])
    )
    if row["wrong"]:
        yield about
    is_shown = not 0 < row["users"] < window["least"]
    for name, must in (("flagged_users", row["users"]), ("flagged_events", row["events"])):
        if window[name] != (must if is_shown else -1):
            expected = must if is_shown else None
            yield replace(about, table="user_seals", found=window[name], expected=expected, field=name)
